"""The Makefile's targets; no argument reaches a shell through them."""

import re
import shutil
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, Workspace


def test_help_lists_every_target(small_pipeline: Workspace) -> None:
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    listed = re.findall(r"(?m)^make (\S+) ", small_pipeline.make("help").stdout)
    assert listed == list(dict.fromkeys(targets))


def test_an_argument_reaches_a_tool_as_it_was_typed_and_never_a_shell(small: Workspace) -> None:
    malicious = "$(shell touch pwned1)x\";touch pwned2;'`touch pwned3`$$(touch pwned4)"
    for name in ("EXTRAS", "FORMAT", "REV", "REV2", "NAME"):
        show = (f"--eval=show: ; @printenv {name}", "show")
        assert small.make(*show, f"{name}={malicious}").stdout == f"{malicious}\n"
        assert small.make(*show, env={name: malicious}).stdout == f"{malicious}\n"
        for target in ("setup", "compare", "dataset"):
            commands = small.run("make", "--dry-run", target, f"{name}={malicious}").stdout
            assert "pwned" not in commands
    line, _ = small.make("compare", f"REV={malicious}", status=2).stderr.splitlines()
    assert line.startswith("error: ")
    assert not list(small.path.glob("pwned*"))


def test_a_folder_that_cannot_work(small: Workspace) -> None:
    shutil.rmtree(small.path / ".git")
    assert "git clone, not as a ZIP file" in small.run("make", status=2).stderr
    renamed = Workspace(small.path.rename(small.path.with_name("a:b")))
    assert "has a colon" in renamed.run("make", status=2).stderr


def test_packages_are_locked_and_go_into_this_environment(small_pipeline: Workspace) -> None:
    commands = small_pipeline.run("make", "--dry-run", "setup", "setup-dev", "EXTRAS=s3").stdout
    installs = re.findall("uv pip install .*", commands.replace("\\\n", ""))
    assert len(installs) == 3
    lock = "-c requirements.lock --build-constraints requirements.lock"
    assert all("--python .venv/bin/python " in line and lock in line for line in installs)
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", "")
    locked = re.findall(r"(?m)^([\w.-]+)==.* --hash=sha256:[0-9a-f]{64}$", text)
    assert len(locked) == len(text.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = sum(project["optional-dependencies"].values(), project["dependencies"])
    names = {canonicalize_name(Requirement(line).name) for line in required}
    assert names | {"setuptools"} <= {*locked}
