"""The Makefile's targets; no argument reaches a shell through them."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Workspace


def test_help_lists_every_target(small_pipeline: Workspace) -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    (targets,) = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    lines = small_pipeline.make("help").stdout.splitlines()
    assert [line.split()[1] for line in lines] == targets.split()
    assert max(map(len, lines)) <= 100


def test_an_argument_reaches_a_tool_as_it_was_typed_and_never_a_shell(small: Workspace) -> None:
    malicious = "$(shell touch pwned1)x\";touch pwned2;'`touch pwned3`$$(touch pwned4)"
    for name in ("EXTRAS", "REV", "REV2", "NAME"):
        show = (f"--eval=show: ; @printenv {name}", "show")
        assert small.make(*show, f"{name}={malicious}").stdout == f"{malicious}\n"
        assert small.make(*show, env={name: malicious}).stdout == f"{malicious}\n"
        for target in ("setup", "compare", "dataset"):
            commands = small.run("make", "--dry-run", target, f"{name}={malicious}").stdout
            assert "pwned" not in commands
    line, _ = small.make("compare", f"REV={malicious}", status=2).stderr.splitlines()
    assert line.startswith("error: ")
    assert not list(small.path.glob("pwned*"))


def test_push_with_a_broken_dvc_yaml(small: Workspace) -> None:
    (small.path / "dvc.yaml").write_text("stages: [\n")
    line, _ = small.make("push", status=2).stderr.splitlines()
    assert line.startswith("error: ") and "dvc.yaml" in line


def test_clean_leaves_the_outputs(small: Workspace) -> None:
    (small.path / ".venv").mkdir()
    before = small.written()
    small.make("clean")
    assert not (small.path / ".venv").exists()
    assert small.written() == before


@pytest.mark.parametrize(
    ("folder", "said"), [("a:b", "has a colon"), ("zip", "git clone, not as a ZIP file")]
)
def test_a_folder_that_cannot_work(folder: str, said: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / folder)
    (workspace.path / "tools").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "tools/charts.py"):
        shutil.copy(ROOT / name, workspace.path / name)
    assert said in workspace.run("make", status=2).stderr


def test_builds_use_the_locked_setuptools(small_pipeline: Workspace) -> None:
    commands = small_pipeline.run("make", "--dry-run", "setup-dev").stdout
    installs = re.findall("uv pip install .*", commands)
    assert installs and all("--build-constraints requirements.lock" in line for line in installs)
    assert "\nsetuptools==" in (ROOT / "requirements.lock").read_text()
