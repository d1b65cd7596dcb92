"""`make doctor`: a line for each thing that the pipeline needs."""

import shutil
import sys
from pathlib import Path

from tests.conftest import ROOT, Workspace
from tests.mounts import read_only, small_disk
from tests.servers import S3Server


def doctor(workspace: Workspace, status: int, *python: str, **env: str) -> dict[str, str]:
    """What it says, by the name of the thing."""
    command = python or (sys.executable,)
    done = workspace.run(*command, "-m", "tools.doctor", status=status, env=env)
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    return {line.split()[1]: line for line in done.stdout.splitlines()}


def test_all_is_well(small: Workspace) -> None:
    (small.path.parent / "dvc-storage").mkdir()
    said = doctor(small, 0)
    assert list(said) == ["Python", "packages", "MNIST", "remote", "disk"]
    assert "params.yaml asks for uci_digits" in said["MNIST"]
    assert "dvc-storage can be read and written" in said["remote"]
    assert list((small.path.parent / "dvc-storage").iterdir()) == []
    # As `make doctor`, with the interpreter of .venv.
    listed = small.run("make", "--dry-run", "doctor").stdout
    assert listed.strip().endswith("-m tools.doctor")


def test_mnist_out_of_reach_stops_the_pipeline_and_a_missing_remote_does_not(
    small: Workspace,
) -> None:
    small.set_params(**{"prepare.dataset": "mnist"})
    said = doctor(small, 1)
    assert said["MNIST"].startswith("PROBLEM")
    assert "put mnist.npz into data/raw/" in said["MNIST"]
    assert said["remote"].startswith("note")
    assert "make push makes it" in said["remote"]
    (small.path / "data/raw/mnist.npz").write_bytes(b"")
    assert "data/raw/mnist.npz" in doctor(small, 0)["MNIST"]


def test_packages_that_are_missing_or_other(small: Workspace) -> None:
    lock = small.path / "requirements.lock"
    lock.write_text(lock.read_text() + "nowhere-to-be-found==1.0 \\\n    --hash=sha256:00\n")
    said = doctor(small, 1)
    assert "missing: nowhere-to-be-found; rm -f .venv/.setup && make setup" in said["packages"]
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\n")
    said = doctor(small, 0)
    assert "numpy" in said["packages"]
    assert "instead of ==0.1" in said["packages"]


def test_without_any_package(small: Workspace) -> None:
    # -S: the interpreter alone, as where .venv is missing.
    said = doctor(small, 1, sys.executable, "-S")
    assert "not installed: rm -f .venv/.setup && make setup" in said["packages"]
    assert list(said) == ["Python", "packages", "MNIST", "remote", "disk"]


def test_a_remote_that_refuses(small: Workspace, s3_server: S3Server) -> None:
    small.share_through(s3_server.remote("doctor"))
    said = doctor(small, 0, AWS_EC2_METADATA_DISABLED="true")
    assert said["remote"].startswith("note")
    assert "Unable to locate credentials" in said["remote"]


def test_a_remote_that_may_only_be_read(small: Workspace) -> None:
    storage = small.path.parent / "dvc-storage"
    storage.mkdir()
    with read_only(storage):
        said = doctor(small, 0)
    assert said["remote"].startswith("note")
    assert "make it writable, or name another" in said["remote"]


def test_too_little_disk(small: Workspace, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk):
        for name in ("tools", "stages", "params.yaml", "requirements.lock"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, disk / name)
        said = doctor(Workspace(disk), 1)
    assert said["disk"].startswith("PROBLEM")
    assert "make room" in said["disk"]
