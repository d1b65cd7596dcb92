"""`make doctor`: a line for each thing that the pipeline needs; fails where `dvc repro` would."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Workspace
from tests.mounts import read_only, small_disk

ALL = ["Python", "packages", "params", "data", "folders", "disk", "pipeline", "remote"]


def doctor(workspace: Workspace, *python: str, problems: str = "") -> dict[str, str]:
    """What it says, by the name of the finding; fails unless these are its problems."""
    command = python or (sys.executable,)
    done = workspace.run(*command, "-m", "tools.doctor", status=1 if problems else 0)
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


def test_a_fresh_clone_has_no_problem(small: Workspace, tmp_path: Path) -> None:
    clone = small.clone(tmp_path / "clone")
    raw = "data/raw/small.npz"
    shutil.copy(small.path / raw, clone.path / raw)
    said = doctor(clone)
    assert said["pipeline"].startswith("ok changed since the last run: prepare, train_linear, ")


def test_what_does_not_stop_the_pipeline_is_a_note(small: Workspace) -> None:
    lock = small.path / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\n")
    said = doctor(small)
    assert said["packages"].startswith("note numpy ")
    assert "instead of 0.1; the bits may differ" in said["packages"]
    assert said["remote"].startswith("note storage: ")
    assert "make push creates it; dvc repro works without it" in said["remote"]


def test_packages_that_are_missing(small: Workspace) -> None:
    # -S: the interpreter alone, as where .venv is missing.
    said = doctor(small, sys.executable, "-S", problems="packages")
    assert said["packages"] == "PROBLEM not installed: run make"
    project = small.path / "pyproject.toml"
    text = project.read_text()
    project.write_text(text.replace("dependencies = [", 'dependencies = ["nowhere-to-be-found",'))
    said = doctor(small, problems="packages")
    assert said["packages"] == "PROBLEM not installed: run make"
    (small.path / ".venv").mkdir()
    said = doctor(small, problems="packages")
    assert said["packages"].startswith("PROBLEM missing: nowhere-to-be-found; rm -f .venv/.setup")
    assert list(said) == ["Python", "packages"]


def test_what_would_stop_the_pipeline(small: Workspace) -> None:
    small.set_params(**{"evaluate.examples": 0, "train_hidden.units": "ten"})
    (small.path / "dvc.yaml").write_text("stages:\n  prepare: 5\n")
    with read_only(small.path / "models"):
        said = doctor(small, problems="params folders pipeline")
    assert "evaluate.examples is 0; must be" in said["params"]
    assert "train_hidden.units is 'ten'; must be" in said["params"]
    assert "models cannot be written" in said["folders"]
    assert said["pipeline"] == "PROBLEM './dvc.yaml' validation failed."


def test_a_params_yaml_that_is_a_link_to_itself(small: Workspace) -> None:
    path = small.path / "params.yaml"
    path.unlink()
    path.symlink_to(path.name)
    assert "params.yaml" in doctor(small, problems="params pipeline")["params"]


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
