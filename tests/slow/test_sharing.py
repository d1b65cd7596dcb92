"""Sharing over S3 and SSH, and remotes and disks that fail: nothing is lost or half-written."""

import hashlib
import shutil
import socket
from pathlib import Path

import pytest

from digits import paths
from tests.conftest import Workspace
from tests.mounts import read_only, small_disk
from tests.servers import Remote, S3Server, SSHServer


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def shared_files(workspace: Workspace) -> dict[str, str]:
    """The MD5 sum of each file that DVC shares, by its path."""
    in_git = set(workspace.run("git", "ls-files").stdout.splitlines())
    outs = [out for stage in workspace.lock().values() for out in stage["outs"]]
    return {out["path"]: out["md5"] for out in outs if out["path"] not in in_git}


def assert_nothing_wrong(workspace: Workspace) -> set[str]:
    """Every file of the workspace and every object in its cache is whole; which files are there."""
    expected = shared_files(workspace)
    present = {path for path in expected if (workspace.path / path).exists()}
    assert {path: md5(workspace.path / path) for path in present}.items() <= expected.items()
    # An unfinished copy of DVC's has another name, under which nobody looks for it.
    for file in (workspace.path / ".dvc/cache/files/md5").glob("*/[!.]*"):
        assert md5(file) == file.parent.name + file.name, file
    return present


def test_all_branches(shared: Workspace) -> None:
    shared.dvc("push", "--all-branches")
    b = shared.clone(shared.path.with_name("b"))
    b.run("git", "branch", "--quiet", "wide", "origin/wide")
    b.dvc("fetch", "--all-branches")
    # From here on, everything is in the cache.
    shutil.rmtree(shared.home / "dvc-storage")
    b.dvc("checkout")
    assert b.outputs() == shared.outputs()
    b.run("git", "switch", "--quiet", "wide")
    b.dvc("checkout")
    hidden = paths.model("hidden")
    assert (b.path / hidden).read_bytes() != (shared.path / hidden).read_bytes()


def test_a_model_without_a_clone(shared: Workspace) -> None:
    shared.dvc("push")
    assert shared.run("git", "status", "--porcelain").stdout == ""
    shared.run("git", "tag", "--annotate", "--message", "First", "linear@v1.0.0")
    shared.run("git", "push", "--quiet", "origin", "linear@v1.0.0")
    consumer = Workspace(shared.path.with_name("consumer"))
    consumer.path.mkdir()
    consumer.dvc("artifacts", "get", "../hub", "linear", "--rev", "v1.0.0", "-o", "linear.keras")
    consumer.dvc("get", "../hub", "models/hidden.keras", "--rev", "linear@v1.0.0")
    for name in paths.MODELS:
        got = (consumer.path / f"{name}.keras").read_bytes()
        assert got == (shared.path / paths.model(name)).read_bytes()


@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_nothing_is_run_twice(
    small: Workspace, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: S3Server | SSHServer = request.getfixturevalue(f"{kind}_server")
    remote = server.remote("round-trip")
    remote.share(small)
    small.run_module("tools.push", env=remote.environment)
    clone = small.clone(tmp_path / "clone")
    clone.run("git", "restore", "--source", ":/The repository as it is", "dvc.lock")
    assert "Running stage" not in clone.dvc("repro", "--pull", env=remote.environment).stdout
    assert clone.outputs() == small.outputs()
    said = small.run_module("tools.doctor", env=remote.environment).stdout
    assert "ok      remote    storage can be read and written" in said


def test_a_server_that_dies_during_a_push(
    small: Workspace, s3_server: S3Server, tmp_path: Path
) -> None:
    remote = s3_server.remote("dies")
    remote.share(small)
    env = remote.environment
    with s3_server.dying_after(uploads=5):
        # Without the limit, DVC asks 25 times for what a server does not answer.
        done = small.dvc("push", env=env | {"AWS_MAX_ATTEMPTS": "1"}, status=None)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    clone = small.clone(tmp_path / "clone")
    clone.dvc("pull", env=env, status=1)
    assert 0 < len(assert_nothing_wrong(clone)) < len(shared_files(small))

    small.dvc("push", env=env)
    clone.dvc("pull", env=env)
    assert clone.outputs() == small.outputs()


def test_a_server_that_never_answers(small: Workspace) -> None:
    """doctor gives up after a while, and does not fail: the pipeline works without a remote."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        Remote({"url": "ssh://127.0.0.1/digits", "port": port}, environment={}).share(small)
        done = small.run_module("tools.doctor")
    assert "note    remote    no answer within 20 s; dvc repro works without it" in done.stdout


def test_objects_that_are_damaged_or_missing(small: Workspace, tmp_path: Path) -> None:
    small.dvc("push")
    storage = small.home / "dvc-storage/digits/files/md5"
    files = shared_files(small)
    altered, truncated, absent = (
        "models/linear.keras",
        "data/prepared/train.npz",
        "models/hidden.keras",
    )
    stored = {path: storage / md5[:2] / md5[2:] for path, md5 in files.items()}
    content = {path: file.read_bytes() for path, file in stored.items()}
    for path in (altered, truncated, absent):
        stored[path].unlink()
    stored[altered].write_bytes(bytes([content[altered][0] ^ 1]) + content[altered][1:])
    stored[truncated].write_bytes(content[truncated][:1000])

    clone = small.clone(tmp_path / "clone")
    done = clone.dvc("pull", status=1)
    named = {line for line in done.stderr.splitlines() if line in files}
    assert named == files.keys() - assert_nothing_wrong(clone) == {altered, truncated, absent}

    # What docs/troubleshooting.md says to do about it.
    for path in named:
        stored[path].unlink(missing_ok=True)
    small.dvc("push")
    clone.dvc("pull")
    assert clone.outputs() == small.outputs()


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all of the disk but `leave` bytes."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return filler


def test_a_full_disk(small: Workspace, tmp_path: Path) -> None:
    small.dvc("push")
    disk = tmp_path / "disk"
    with small_disk(disk):
        # MNIST, twice as it is in Git, would take all of it.
        clone = Workspace(disk / "digits")
        small.run("git", "clone", "--quiet", "--shared", "--no-checkout", small.path, clone.path)
        clone.run("git", "sparse-checkout", "set", "--no-cone", "/*", "!/data/raw/mnist.npz")
        clone.run("git", "checkout", "--quiet", "main")
        # DVC's remote and its own files are elsewhere, so that it is the outputs that do not fit.
        env = {"HOME": str(small.home), "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
        filler = fill(disk, leave=900_000)
        done = clone.dvc("pull", env=env, status=1)
        assert "No space left on device" in done.stderr
        assert_nothing_wrong(clone)
        filler.unlink()
        clone.dvc("pull", env=env)
        assert clone.outputs() == small.outputs()

        shutil.rmtree(clone.path / "data/prepared")
        filler = fill(disk, leave=100_000)
        prepare = ("repro", "--force", "--single-item", "prepare")
        done = clone.dvc(*prepare, env=env, status=255)
        assert "error: data/prepared/train.npz: No space left on device\n" in done.stderr
        assert "Traceback" not in done.stderr
        assert_nothing_wrong(clone)
        filler.unlink()
        clone.dvc(*prepare, env=env)
        assert clone.outputs() == small.outputs()


def test_read_only_folders(small: Workspace) -> None:
    for stage, folder in (("prepare", "data/prepared"), ("train_linear", "models")):
        with read_only(small.path / folder):
            (line,) = small.stage(stage, status=1).stderr.splitlines()
            assert line.startswith(f"error: {folder}/")
            assert "Read-only" in line or "Permission denied" in line
    assert_nothing_wrong(small)
    assert small.repro() == []


def test_a_password_in_a_remote_is_never_shown(small: Workspace) -> None:
    url = "https://me:se@cret:word@127.0.0.1:9/digits"
    small.dvc("remote", "modify", "--local", "storage", "url", url)
    said = [small.make("doctor").stdout, small.make("push", status=2).stderr]
    for text in said:
        assert "se@cret" not in text
        assert "word" not in text
        assert "Traceback" not in text
    # Nor does Git see it.
    assert small.run("git", "status", "--porcelain").stdout == ""
