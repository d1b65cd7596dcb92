"""`make doctor` on a full disk, and for a user whom the system does not know."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.mounts import small_disk
from tests.pipeline.test_doctor import doctor


def test_a_damaged_data_file_and_a_full_disk(small: Workspace, tmp_path: Path) -> None:
    (small.path / "data/raw/small.npz").write_bytes(b"damaged")
    shutil.rmtree(small.path / ".dvc/cache")
    (small.path / "data/raw/mnist.npz").unlink()
    with small_disk(tmp_path / "disk"):
        said = doctor(small.copy(tmp_path / "disk"), problems="data disk")
    assert "data/raw/small.npz: not a usable .npz file" in said["data"]
    assert "GB are needed: free some, or dvc gc -w" in said["disk"]


def test_a_user_without_an_entry_in_the_password_file(small: Workspace) -> None:
    other_user = ["unshare", "--user", "--map-user=4242", "--map-group=4242"]
    if small.run(*other_user, "true", status=None).returncode:
        pytest.skip("unshare: no user namespaces here")
    small.dvc("repro", "--dry")
    said = doctor(small, *other_user, sys.executable, problems="pipeline")
    assert "uid not found: 4242" in said["pipeline"]
