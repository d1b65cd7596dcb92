"""The Makefile's targets, and what reaches a shell through them."""

import re

from tests.conftest import ROOT, Workspace


def test_help_lists_every_target(small_pipeline: Workspace) -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    targets = re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    lines = small_pipeline.make("help").stdout.splitlines()
    assert targets and [line.split()[1] for line in lines] == targets[1].split()
    assert max(map(len, lines)) <= 100


def test_a_name_reaches_a_tool_as_it_was_typed_and_never_a_shell(small: Workspace) -> None:
    malicious = "$(shell touch pwned1)x\";touch pwned2;'`touch pwned3`$$(touch pwned4)"
    for name in ("REV", "REV2", "NAME"):
        show = (f"--eval=show: ; @printenv {name}", "show")
        assert small.make(*show, f"{name}={malicious}").stdout == f"{malicious}\n"
        assert small.make(*show, env={name: malicious}).stdout == f"{malicious}\n"
    line, _ = small.make("compare", f"REV={malicious}", status=2).stderr.splitlines()
    assert line.startswith("error: ")
    assert not list(small.path.glob("pwned*"))


def test_push_with_a_broken_dvc_yaml(small: Workspace) -> None:
    (small.path / "dvc.yaml").write_text("stages: [\n")
    line, _ = small.make("push", status=2).stderr.splitlines()
    assert line.startswith("error: ") and "dvc.yaml" in line


def test_clean_leaves_what_the_pipeline_wrote(small: Workspace) -> None:
    (small.path / ".venv").mkdir()
    before = small.written()
    small.make("clean")
    assert not (small.path / ".venv").exists()
    assert small.written() == before
