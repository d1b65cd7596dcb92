"""Remotes and disks that fail: nothing is lost or half-written, and the error names the reason."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.mounts import read_only, small_disk
from tests.servers import S3Server, SSHServer, folder_remote

# Without it, DVC asks five times five times for what a server does not answer.
IMPATIENT = {"AWS_MAX_ATTEMPTS": "1"}
# Otherwise credentials are looked for in the network as well.
NO_OTHER_CREDENTIALS = {"AWS_EC2_METADATA_DISABLED": "true"}


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


def test_a_server_that_dies_during_a_push(
    small: Workspace, s3_server: S3Server, tmp_path: Path
) -> None:
    remote = s3_server.remote("dies")
    small.share_through(remote)
    shared = remote.environment | IMPATIENT
    s3_server.restart(uploads=5)
    try:
        done = small.dvc("push", env=shared, status=None)
    finally:
        s3_server.restart()
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    kept = remote.objects()
    assert 0 < len(kept) < len(shared_files(small))
    assert all(md5(content) == key for key, content in kept.items())

    small.dvc("push", env=shared)
    clone = small.clone(tmp_path / "clone")
    clone.dvc("pull", env=shared)
    assert clone.outputs() == small.outputs()


def test_a_server_that_hangs(small: Workspace, s3_server: S3Server) -> None:
    remote = s3_server.remote("hangs")
    small.share_through(remote)
    small.dvc("remote", "modify", "storage", "read_timeout", "1")
    s3_server.freeze()
    try:
        # Comes back by itself, and says why.
        done = small.dvc("push", env=remote.environment | IMPATIENT, status=255)
    finally:
        s3_server.thaw()
    assert "Read timeout on endpoint URL" in done.stderr
    small.dvc("push", env=remote.environment)


def test_an_ssh_server_that_hangs(small: Workspace, ssh_server: SSHServer) -> None:
    small.share_through(ssh_server.remote("hangs"))
    small.dvc("remote", "modify", "storage", "timeout", "2")
    ssh_server.freeze()
    try:
        done = small.dvc("push", status=255)
    finally:
        ssh_server.thaw()
    assert "ERROR" in done.stderr
    small.dvc("push")


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_objects_that_are_damaged_or_missing(
    small: Workspace, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "folder":
        remote = folder_remote(tmp_path / "dvc-storage")
    else:
        remote = request.getfixturevalue("s3_server").remote("damaged")
        small.share_through(remote)
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

    # What the README says to do about it.
    for path in lacking:
        if files[path] in remote.objects():
            remote.files.rm_file(remote.path_of(files[path]))
    small.dvc("push", env=remote.environment)
    clone.dvc("pull", env=remote.environment)
    assert clone.outputs() == small.outputs()


def test_wrong_and_missing_s3_credentials(small: Workspace, s3_server: S3Server) -> None:
    small.share_through(s3_server.remote("locked"))
    with s3_server.locked() as right:
        wrong = right | {"AWS_SECRET_ACCESS_KEY": "not-the-secret-of-this-key"}
        for credentials, reason in (
            (wrong, "request signature we calculated does not match"),
            ({}, "Unable to locate credentials"),
        ):
            done = small.dvc("push", env=credentials | NO_OTHER_CREDENTIALS, status=255)
            assert reason in done.stderr
            assert "Traceback" not in done.stderr
            for secret in (wrong, right):
                assert secret["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
        for option, variable in (
            ("access_key_id", "AWS_ACCESS_KEY_ID"),
            ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ):
            small.dvc("remote", "modify", "--local", "storage", option, right[variable])
        small.dvc("push")
    # Git sees nothing of them.
    assert small.run("git", "status", "--porcelain").stdout == ""


def test_a_wrong_ssh_key(small: Workspace, ssh_server: SSHServer, tmp_path: Path) -> None:
    small.share_through(ssh_server.remote("locked"))
    other = tmp_path / "other"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    small.dvc("remote", "modify", "--local", "storage", "keyfile", str(other))
    done = small.dvc("push", status=255)
    assert "Permission denied for user" in done.stderr
    assert "Traceback" not in done.stderr


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all of the disk but `leave` bytes."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return filler


def test_a_full_disk(small: Workspace, tmp_path: Path) -> None:
    small.dvc("push")
    disk = tmp_path / "disk"
    with small_disk(disk):
        clone = small.clone(disk / "digits")
        clone.dvc("remote", "modify", "--local", "storage", "url", str(tmp_path / "dvc-storage"))
        # DVC's own books are elsewhere, so that it is the files that do not fit.
        books = {"DVC_SITE_CACHE_DIR": str(tmp_path / "books")}
        filler = fill(disk, leave=900_000)
        done = clone.dvc("pull", env=books, status=1)
        assert "No space left on device" in done.stderr
        assert_nothing_wrong(clone)
        filler.unlink()
        clone.dvc("pull", env=books)
        assert clone.outputs() == small.outputs()

        shutil.rmtree(clone.path / "data/prepared")
        filler = fill(disk, leave=100_000)
        done = clone.dvc("repro", "--force", "--single-item", "prepare", env=books, status=255)
        assert "error: input/output: No space left on device\n" in done.stderr
        assert "Traceback" not in done.stderr
        assert_nothing_wrong(clone)
        filler.unlink()
        clone.dvc("repro", "--force", "--single-item", "prepare", env=books)
        assert clone.outputs() == small.outputs()


def test_read_only_folders(small: Workspace) -> None:
    for stage, folder in (("prepare", "data/prepared"), ("train_linear", "models")):
        with read_only(small.path / folder):
            done = small.stage(stage, status=1)
            (line,) = done.stderr.splitlines()
            assert line.startswith(f"error: {folder}/")
            assert "Read-only" in line or "Permission denied" in line
            # DVC takes the old files away before it runs a stage.
            done = small.dvc("repro", "--force", "--single-item", stage, status=255)
            (line,) = done.stderr.splitlines()
            assert f"/{folder}/" in line
    assert_nothing_wrong(small)
    assert small.repro() == []
