"""Sharing over S3 and SSH, and remotes and disks that fail: nothing is lost or half-written."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.mounts import read_only, small_disk
from tests.servers import Remote, S3Server, SSHServer, folder_remote, silent_server

# Without it, DVC asks five times five times for what a server does not answer.
IMPATIENT = {"AWS_MAX_ATTEMPTS": "1"}


@pytest.fixture
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    """A remote of each kind, in a folder or bucket of the test's own."""
    if request.param == "folder":
        return folder_remote(tmp_path / "storage")
    server: S3Server | SSHServer = request.getfixturevalue(f"{request.param}_server")
    made: Remote = server.remote(request.node.originalname.replace("_", "-"))
    return made


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def shared_files(workspace: Workspace) -> dict[str, str]:
    """The MD5 sum of each file that DVC shares, by its path."""
    in_git = set(workspace.run("git", "ls-files").stdout.splitlines())
    outs = [out for stage in workspace.lock().values() for out in stage["outs"]]
    return {out["path"]: out["md5"] for out in outs if out["path"] not in in_git}


def assert_nothing_wrong(workspace: Workspace) -> None:
    """Every file of the workspace and every object in its cache is whole and right."""
    for path, expected in shared_files(workspace).items():
        file = workspace.path / path
        assert not file.exists() or md5(file.read_bytes()) == expected, path
    # An unfinished copy of DVC's has another name, under which nobody looks for it.
    for file in (workspace.path / ".dvc/cache/files/md5").glob("*/[!.]*"):
        assert md5(file.read_bytes()) == file.parent.name + file.name, file


@pytest.mark.parametrize("remote", ["s3", "ssh"], indirect=True)
def test_nothing_is_run_twice(small: Workspace, remote: Remote, tmp_path: Path) -> None:
    remote.share(small)
    small.run(sys.executable, "-m", "tools.push", env=remote.environment)
    clone = small.clone(tmp_path / "clone")
    clone.run("git", "restore", "--source", ":/The repository as it is", "dvc.lock")
    assert "Running stage" not in clone.dvc("repro", "--pull", env=remote.environment).stdout
    assert clone.outputs() == small.outputs()

    doctor = (sys.executable, "-m", "tools.doctor")
    assert "ok      remote" in small.run(*doctor, env=remote.environment).stdout
    if remote.environment:
        # Otherwise credentials are looked for in the network as well.
        said = small.run(*doctor, env={"AWS_EC2_METADATA_DISABLED": "true"}).stdout
        assert "note    remote    storage: Unable to locate credentials" in said


@pytest.mark.parametrize("remote", ["s3"], indirect=True)
def test_a_server_that_dies_during_a_push(
    small: Workspace, s3_server: S3Server, remote: Remote, tmp_path: Path
) -> None:
    remote.share(small)
    with s3_server.dying_after(uploads=5):
        done = small.dvc("push", env=remote.environment | IMPATIENT, status=None)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    kept = remote.objects()
    assert 0 < len(kept) < len(shared_files(small))
    assert all(md5(content) == key for key, content in kept.items())

    small.dvc("push", env=remote.environment)
    clone = small.clone(tmp_path / "clone")
    clone.dvc("pull", env=remote.environment)
    assert clone.outputs() == small.outputs()


@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_a_server_that_hangs(small: Workspace, kind: str) -> None:
    with silent_server() as port:
        options = {
            "s3": {"endpointurl": f"http://127.0.0.1:{port}", "read_timeout": "1"},
            "ssh": {"port": str(port), "timeout": "2"},
        }
        Remote(f"{kind}://127.0.0.1/digits", folder_remote(small.path).files, options[kind]).share(
            small
        )
        credentials = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "loopback"}
        # Comes back by itself, and says why.
        done = small.dvc("push", env=credentials | IMPATIENT, status=255)
        assert "ERROR" in done.stderr
        assert "Traceback" not in done.stderr
        done = small.run(sys.executable, "-m", "tools.doctor", env=credentials | IMPATIENT)
        assert "note    remote" in done.stdout
    assert small.repro() == []


@pytest.mark.parametrize("remote", ["folder", "s3"], indirect=True)
def test_objects_that_are_damaged_or_missing(
    small: Workspace, remote: Remote, tmp_path: Path
) -> None:
    remote.share(small)
    small.dvc("push", env=remote.environment)
    altered, truncated, absent = (
        "models/linear.keras",
        "data/prepared/train.npz",
        "models/hidden.keras",
    )
    files = shared_files(small)
    content = (small.path / altered).read_bytes()
    for path, damaged in (
        (altered, bytes([content[0] ^ 1]) + content[1:]),
        (truncated, (small.path / truncated).read_bytes()[:1000]),
        (absent, None),
    ):
        stored = remote.path_of(files[path])
        remote.files.rm_file(stored)
        if damaged is not None:
            remote.files.pipe_file(stored, damaged)

    clone = small.clone(tmp_path / "clone")
    done = clone.dvc("pull", env=remote.environment, status=1)
    named = {line for line in done.stderr.splitlines() if line in files}
    lacking = {path for path in files if not (clone.path / path).exists()}
    assert named == lacking == {altered, truncated, absent}
    assert_nothing_wrong(clone)

    # What the documentation says to do about it.
    for path in lacking:
        if files[path] in remote.objects():
            remote.files.rm_file(remote.path_of(files[path]))
    small.dvc("push", env=remote.environment)
    clone.dvc("pull", env=remote.environment)
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
        # Its files and MNIST in its Git repository would take 23 of 24 MB.
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
        done = clone.dvc("repro", "--force", "--single-item", "prepare", env=env, status=255)
        assert "error: data/prepared/train.npz: No space left on device\n" in done.stderr
        assert "Traceback" not in done.stderr
        assert_nothing_wrong(clone)
        filler.unlink()
        clone.dvc("repro", "--force", "--single-item", "prepare", env=env)
        assert clone.outputs() == small.outputs()


def test_read_only_folders(small: Workspace) -> None:
    for stage, folder in (("prepare", "data/prepared"), ("train_linear", "models")):
        with read_only(small.path / folder):
            done = small.stage(stage, status=1)
            (line,) = done.stderr.splitlines()
            assert line.startswith(f"error: {folder}/")
            assert "Read-only" in line or "Permission denied" in line
            # DVC removes the old files before it runs a stage.
            done = small.dvc("repro", "--force", "--single-item", stage, status=255)
            (line,) = done.stderr.splitlines()
            assert f"/{folder}/" in line
    assert_nothing_wrong(small)
    assert small.repro() == []
