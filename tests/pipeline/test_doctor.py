"""`make doctor`: a line for each thing that the pipeline needs; fails where `dvc repro` would."""

import shutil
import sys
from pathlib import Path

from tests.conftest import Workspace
from tests.mounts import read_only

ALL = ["Python", "packages", "params", "data", "folders", "disk", "pipeline", "remote"]


def doctor(workspace: Workspace, *python: str, problems: str = "") -> dict[str, str]:
    """What it says, by the name of the finding; fails unless these are its problems."""
    status = 1 if problems else 0
    if python:
        done = workspace.run(*python, "-m", "tools.doctor", status=status)
    else:
        done = workspace.run_module("tools.doctor", status=status)
    assert done.stderr == ""
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    said: dict[str, str] = {}
    name = ""
    for line in done.stdout.splitlines():
        if line.startswith(" "):
            said[name] += f" {line.strip()}"
        else:
            verdict, name, text = line.split(maxsplit=2)
            said[name] = said.get(name, "") + f"{verdict} {text}"
    found = [name for name, text in said.items() if text.startswith("PROBLEM")]
    assert found == problems.split()
    return said


def test_all_is_well_and_the_remote_is_tried(small: Workspace) -> None:
    storage = small.home / "dvc-storage/digits"
    storage.mkdir(parents=True)
    said = doctor(small)
    assert list(said) == ALL
    assert all(text.startswith("ok ") for text in said.values())
    assert said["pipeline"] == "ok changed since the last run: nothing"
    assert list(storage.iterdir()) == []
    (small.path / "requirements.lock").unlink()
    with read_only(storage):
        said = doctor(small)
    assert said["remote"].startswith("note storage: ")
    assert said["packages"].startswith("note requirements.lock is missing")


def test_a_fresh_clone_has_no_problem_and_what_does_not_stop_the_pipeline_is_a_note(
    small: Workspace, tmp_path: Path
) -> None:
    clone = small.clone(tmp_path / "clone")
    raw = "data/raw/small.npz"
    shutil.copy(small.path / raw, clone.path / raw)
    (clone.path / "requirements.lock").write_text("numpy==0.1 \\\n    --hash=sha256:00\n")
    said = doctor(clone)
    assert said["pipeline"].startswith("ok changed since the last run: prepare, train_linear, ")
    assert said["packages"].startswith("note numpy ")
    assert "instead of 0.1; the bits may differ" in said["packages"]
    assert said["remote"].startswith("note storage: ")
    assert "make push creates it; dvc repro works without it" in said["remote"]


def test_packages_that_are_missing(small: Workspace) -> None:
    # -S: the interpreter alone, as where .venv is missing.
    said = doctor(small, sys.executable, "-S", problems="packages")
    assert said["packages"] == "PROBLEM not installed: run make"
    (small.path / ".venv").mkdir()
    project = small.path / "pyproject.toml"
    text = project.read_text()
    project.write_text(text.replace("dependencies = [", 'dependencies = ["nowhere-to-be-found",'))
    said = doctor(small, problems="packages")
    assert said["packages"].startswith("PROBLEM missing: nowhere-to-be-found; rm -f .venv/.setup")
    assert list(said) == ["Python", "packages"]
    project.write_text(text)
    # Stands in for a package of which another one needs a part.
    (small.path / "pydantic.py").write_text("import nowhere_either")
    said = doctor(small, sys.executable, problems="imports")
    assert said["imports"].startswith("PROBLEM missing: nowhere_either; rm -f .venv/.setup")


def test_what_would_stop_the_pipeline(small: Workspace) -> None:
    small.set_params(**{"evaluate.examples": 0, "train_hidden.units": "ten"})
    (small.path / "dvc.yaml").write_text("stages:\n  prepare: 5\n")
    with read_only(small.path / "models"):
        said = doctor(small, problems="params folders pipeline")
    assert "evaluate.examples is 0; must be" in said["params"]
    assert "train_hidden.units is 'ten'; must be" in said["params"]
    assert "models cannot be written" in said["folders"]
    assert said["pipeline"] == "PROBLEM './dvc.yaml' validation failed."
