"""The default remote, ~/dvc-storage/digits: what one clone pushes, others need not run."""

from digits import paths
from tests.conftest import WIDE, Workspace

LINEAR, HIDDEN = map(paths.model, paths.MODELS)


def test_an_experiment_travels_with_its_files(shared: Workspace) -> None:
    shared.dvc("exp", "push", "origin", "wide")
    b = shared.clone(shared.path.with_name("b"))
    b.run("git", "remote", "set-url", "origin", "../hub")
    b.dvc("exp", "pull", "origin", "wide")
    b.dvc("exp", "apply", "wide")
    assert f"units: {WIDE} " in (b.path / "params.yaml").read_text()
    assert (b.path / HIDDEN).read_bytes() != (shared.path / HIDDEN).read_bytes()
    assert (b.path / LINEAR).read_bytes() == (shared.path / LINEAR).read_bytes()
    assert b.repro() == []


def test_what_was_pushed_is_run_nowhere_else(shared: Workspace) -> None:
    """Even what is not checked out: `make push` sends all runs that DVC remembers."""
    done = shared.make("push")
    assert "files pushed, and the records of 6 runs" in done.stdout
    b = shared.clone(shared.path.with_name("b"))
    b.set_params(**{"train_hidden.units": WIDE})
    assert b.repro("--pull") == []
    assert (b.path / HIDDEN).read_bytes() != (shared.path / HIDDEN).read_bytes()
