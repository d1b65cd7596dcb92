"""What one clone pushes to the default remote, ~/dvc-storage/digits, others need not run."""

from pathlib import Path

from tests.conftest import WIDE, Workspace, cut_from_mnist

HIDDEN = "models/hidden.keras"
RAW = "data/raw/small.npz"


def test_what_was_pushed_is_run_nowhere_else(small: Workspace, tmp_path: Path) -> None:
    """Even what is not checked out: `make push` sends all runs that DVC remembers."""
    assert "files pushed, and the records of 6 runs" in small.make("push").stdout
    second = small.clone(tmp_path / "second")
    second.set_params(**{"train_hidden.units": WIDE})
    assert second.repro("--pull") == []
    assert (second.path / HIDDEN).read_bytes() != (small.path / HIDDEN).read_bytes()

    # A new version of the data: `prepare` runs again, and dvc.lock records it.
    (second.path / RAW).write_bytes(cut_from_mnist(start=7000))
    second.dvc("add", RAW)
    assert second.repro("prepare") == ["prepare"]
    assert second.lock()["prepare"]["deps"] != small.lock()["prepare"]["deps"]


def test_a_released_model_without_a_clone(small: Workspace, tmp_path: Path) -> None:
    small.dvc("push")
    small.run("git", "tag", "--message", "First", "linear@v1.0.0")
    consumer = Workspace(tmp_path / "consumer")
    consumer.path.mkdir()
    consumer.dvc("artifacts", "get", small.path, "linear", "--rev", "v1.0.0", "-o", "got.keras")
    released = small.path / "models/linear.keras"
    assert (consumer.path / "got.keras").read_bytes() == released.read_bytes()


def test_a_password_in_a_remote_is_never_shown(small: Workspace) -> None:
    url = "https://me:se@cret:word@127.0.0.1:9/digits"
    small.dvc("remote", "modify", "--local", "storage", "url", url)
    said = small.make("doctor").stdout + small.make("push", status=2).stderr
    assert "127.0.0.1:9" in said
    assert "se@cret" not in said and "word" not in said
