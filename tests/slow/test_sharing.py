"""Clones share results through S3 and SSH, without running anything twice."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.servers import s3_server, ssh_server


@pytest.mark.parametrize("server", [s3_server, ssh_server])
def test_nothing_is_run_twice(
    small: Workspace,
    server: Callable[[Path], AbstractContextManager[dict[str, str]]],
    tmp_path: Path,
) -> None:
    with server(tmp_path) as options:
        config = small.path / ".dvc/config"
        lines = "\n    ".join(f"{name} = {value}" for name, value in options.items())
        config.write_text(config.read_text().replace("url = ~/dvc-storage/digits", lines))
        small.commit("Share data and models")
        assert "0 files pushed" not in small.make("push").stdout
        assert not (small.home / "dvc-storage").exists()

        clone = small.clone(tmp_path / "clone")
        clone.run("git", "restore", "--source", ":/The repository as it is", "dvc.lock")
        assert clone.repro("--pull") == []
        assert clone.outputs() == small.outputs()
        assert "storage can be read and written" in clone.make("doctor").stdout
