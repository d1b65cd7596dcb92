"""What one clone pushes, another pulls: over a folder, S3 and SSH."""

from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.servers import Remote, S3Server


@pytest.fixture(params=["s3"])
def remote(request: pytest.FixtureRequest, s3_server: S3Server) -> Remote:
    return s3_server.remote("round-trip")


def test_round_trip(small: Workspace, remote: Remote, tmp_path: Path) -> None:
    small.share_through(remote)
    small.dvc("push", "--run-cache", env=remote.environment)
    b = small.clone(tmp_path / "b" / "digits")
    b.dvc("pull", "--run-cache", env=remote.environment)
    assert b.outputs() == small.outputs()
    assert b.repro() == []
