"""What the Makefile says before it installs anything, and what it installs with."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Workspace


@pytest.mark.parametrize(
    ("folder", "said"), [("a:b", "has a colon"), ("zip", "git clone, not as a ZIP file")]
)
def test_a_folder_that_cannot_work(folder: str, said: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / folder)
    (workspace.path / "tools").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "tools/charts.py"):
        shutil.copy(ROOT / name, workspace.path / name)
    assert said in workspace.run("make", status=2).stderr
    assert not (workspace.path / ".venv").exists()


def test_what_is_typed_is_no_part_of_a_command(small_pipeline: Workspace) -> None:
    typed = [f"{name}=x;touch pwned" for name in ("EXTRAS", "NAME", "OUT", "REV", "REV2")]
    for target in ("setup", "bench", "compare", "dataset"):
        assert "pwned" not in small_pipeline.run("make", "--dry-run", target, *typed).stdout


def test_what_is_built_is_built_with_the_locked_setuptools(small_pipeline: Workspace) -> None:
    commands = small_pipeline.run("make", "--dry-run", "setup-dev").stdout
    installs = re.findall("uv pip install .*", commands)
    assert installs and all("--build-constraints requirements.lock" in line for line in installs)
    assert re.search(r"^setuptools==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
