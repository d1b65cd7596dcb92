"""The Makefile's targets, and what reaches a shell through them."""

import re
import shutil
from pathlib import Path

from tests.conftest import ROOT, Workspace


def test_help_lists_every_target(small_pipeline: Workspace) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert targets
    lines = small_pipeline.make("help").stdout.splitlines()
    assert [line.split()[1] for line in lines] == targets[1].replace("\\", "").split()
    assert max(map(len, lines)) <= 100


def test_a_name_reaches_a_tool_as_it_was_typed_and_never_a_shell(small: Workspace) -> None:
    malicious = "$(shell touch pwned1)x\";touch pwned2;'`touch pwned3`$$(touch pwned4)"
    names = ("REV", "REV2", "NAME")
    show = (f"--eval=show: ; @printenv {' '.join(names)}", "show")
    by_option = small.make("--silent", *show, *(f"{name}={malicious}" for name in names))
    by_environment = small.make("--silent", *show, env=dict.fromkeys(names, malicious))
    assert by_option.stdout == by_environment.stdout == f"{malicious}\n" * 3
    line, _ = small.make("compare", f"REV={malicious}", status=2).stderr.splitlines()
    assert line.startswith("error: ")
    assert not list(small.path.glob("pwned*"))


def test_push_with_a_broken_dvc_yaml(small: Workspace) -> None:
    (small.path / "dvc.yaml").write_text("stages: [\n")
    line, _ = small.make("push", status=2).stderr.splitlines()
    assert line.startswith("error: ")
    assert "dvc.yaml" in line


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
