"""The Makefile's targets, and what reaches a shell through them."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Workspace


def test_help_lists_every_target(small_pipeline: Workspace) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert targets
    lines = small_pipeline.make("help").stdout.splitlines()
    assert [line.split()[1] for line in lines] == targets[1].replace("\\", "").split()
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("target", ["report REV", "summary REV", "compare REV", "dataset NAME"])
def test_a_name_never_reaches_a_shell(small_pipeline: Workspace, target: str) -> None:
    name, variable = target.split()
    malicious = "$(shell touch pwned1)x\";touch pwned2;'`touch pwned3`$$(touch pwned4)"
    by_option = small_pipeline.make(name, f"{variable}={malicious}", status=2)
    by_environment = small_pipeline.make(name, env={variable: malicious}, status=2)
    for done in (by_option, by_environment):
        assert [line[:7] for line in done.stderr.splitlines()] == ["error: ", "make: *"]
    assert not list(small_pipeline.path.glob("pwned*"))


@pytest.mark.parametrize("broken", ["stages: [\n", "stages:\n  prepare: 5\n"])
def test_push_with_a_broken_dvc_yaml(small: Workspace, broken: str) -> None:
    (small.path / "dvc.yaml").write_text(broken)
    line, _ = small.make("push", status=2).stderr.splitlines()
    assert line.startswith("error: ")
    assert "dvc.yaml" in line


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


def test_clean_leaves_what_the_pipeline_wrote(small: Workspace, tmp_path: Path) -> None:
    (small.path / ".venv").mkdir()
    shutil.copy2(small.path / "params.yaml", tmp_path)
    before = small.written()
    small.make("clean")
    assert not (small.path / ".venv").exists()
    assert small.written() == before


def test_uv_trusts_the_certificates_of_the_system(small_pipeline: Workspace) -> None:
    show = "--eval=show: ; @printenv UV_SYSTEM_CERTS"
    assert small_pipeline.make("--silent", show, "show").stdout == "1\n"
