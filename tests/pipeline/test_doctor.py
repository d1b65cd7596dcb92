"""`make doctor`: a line for each thing that the pipeline needs; fails where something stops."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import NOWHERE, Workspace

ALL = ["Python", "packages", "shell", "Git", "params", "data", "folders", "pipeline", "remote"]


def doctor(workspace: Workspace, problems: str = "", **options: Any) -> dict[str, str]:
    """Its findings by name, as "verdict text"; fails unless these are its problems."""
    done = workspace.make("doctor", status=2 if problems else 0, **options)
    said: dict[str, str] = {}
    for finding in re.sub(r"\n {2,}", " ", done.stdout).splitlines():
        verdict, name, text = finding.split(maxsplit=2)
        said[name] = f"{said.get(name, verdict)} {text}"
    found = [name for name, text in said.items() if text.startswith("PROBLEM")]
    assert found == problems.split(), done.stdout + done.stderr
    return said


def test_all_is_well_and_the_remote_is_tried(small: Workspace) -> None:
    storage = small.home / "dvc-storage/digits"
    storage.mkdir(parents=True)
    said = doctor(small)
    assert list(said) == ALL
    assert all(text.startswith("ok ") for text in said.values())
    assert said["pipeline"] == "ok changed since the last run: nothing"
    assert list(storage.iterdir()) == []
    small.dvc("remote", "modify", "storage", "url", f"{NOWHERE}/read/only")
    assert doctor(small)["remote"].startswith("note cannot be written")


def test_a_clone_that_lacks_its_data_set(small: Workspace, tmp_path: Path) -> None:
    clone = small.clone(tmp_path / "clone")
    (clone.path / "requirements.lock").write_text("numpy==0.1 \\\n    --hash=sha256:00\n")
    said = doctor(clone, problems="data")
    assert said["data"].endswith("data/raw/small.npz: no such file; dvc pull")
    assert said["packages"].startswith("note numpy ")
    assert "instead of 0.1; results may not be identical" in said["packages"]
    assert "does not exist yet; make push creates it" in said["remote"]
    clone.set_params(**{"prepare.dataset": "own"})
    assert doctor(clone, problems="data")["data"].endswith("; data/raw has mnist")
    # -S: the interpreter alone, as where .venv is missing.
    for name in ("tools.doctor", "stages.prepare", "revisions.result"):
        (line,) = clone.run(sys.executable, "-S", "-m", name, status=1).stderr.splitlines()
        assert line.startswith(f"error: {sys.executable} lacks dvc, keras, ")
        assert line.endswith("; run make, then: source .venv/bin/activate")


def test_problems_in_the_workspace(small: Workspace) -> None:
    path = small.path / "data/raw/small.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"x_train": arrays["x_train"] // 16})
    small.set_params(**{"train_hidden.units": "ten", "train_hidden.epochs": 0})
    (small.path / "dvc.yaml").write_text("stages:\n  prepare: 5\n")
    invalid = "'./dvc.yaml' validation failed"
    assert small.make("push", status=2).stderr.startswith(f"error: {invalid}")
    (small.path.parent / "file").touch()
    small.dvc("cache", "dir", "--local", "../file/cache")
    said = doctor(small, problems="params folders pipeline")
    assert "note data/raw/small.npz: the largest value in x_train is 15; " in said["data"]
    assert "train_hidden.epochs is 0; must be" in said["params"]
    assert "train_hidden.units is 'ten'; must be" in said["params"]
    assert "/file cannot be written" in said["folders"]
    assert f"{invalid}; for more: dvc status" in said["pipeline"]
    small.set_params(**{"evaluate.models": ["nobody"]})
    said = doctor(small, problems="params folders pipeline")
    assert said["params"].endswith("evaluate.models has nobody, but no stages/train_nobody.py")
    (small.path / "dvc.yaml").unlink()
    said = doctor(small, problems="params folders pipeline")
    assert said["pipeline"].endswith("dvc.yaml: no such file; git restore dvc.yaml")


def test_a_merge_conflict_is_named_and_what_docs_say_resolves_it(small: Workspace) -> None:
    small.set_params(**{"evaluate.examples": 8})
    small.repro()
    small.commit()
    small.run("git", "merge", "wide", status=1)
    conflict = "merge conflict in dvc.lock: see docs/troubleshooting.md"
    assert doctor(small, problems="Git pipeline")["Git"] == f"PROBLEM {conflict}"
    for name in ("revisions.compare", "revisions.report", "revisions.result"):
        done = small.run_module(name, env={"REV": "wide"}, status=1)
        assert done.stderr == f"error: {conflict}\n"
    assert "wide" in small.run_module("revisions.leaderboard").stdout
    small.run("git", "checkout", "--ours", "dvc.lock", "metrics")
    assert small.repro() == ["evaluate"]
    small.commit()
    assert doctor(small)["pipeline"] == "ok changed since the last run: nothing"


def test_git_refuses_the_clone_knows_nobody_or_has_not_noticed_a_change(small: Workspace) -> None:
    said = doctor(small, problems="Git", env={"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    assert "git config --global --add safe.directory" in said["Git"]
    said = doctor(small, env={"GIT_COMMITTER_NAME": ""})
    assert said["Git"].startswith("note ") and "git config --global user.name" in said["Git"]
    # As after an experiment that failed within a second.
    small.run("git", "update-index", "--assume-unchanged", "params.yaml")
    small.set_params(**{"prepare.seed": 2})
    said = doctor(small, problems="Git")
    assert said["Git"].endswith("touch params.yaml && git restore params.yaml")


def test_a_password_in_a_remote_is_never_shown(small: Workspace) -> None:
    url = "https://me:se@cret:word@127.0.0.1:9/digits"
    small.dvc("remote", "modify", "--local", "storage", "url", url)
    said = small.make("doctor").stdout + small.make("push", status=2).stderr
    assert "127.0.0.1:9" in said
    assert "se@cret" not in said and "word" not in said


def test_the_shell_and_its_folder(small: Workspace, tmp_path: Path) -> None:
    other = tmp_path / "other/python"
    other.parent.mkdir()
    other.symlink_to(sys.executable)
    path = f"{other.parent}{os.pathsep}{small.environment['PATH']}"
    said = doctor(small, env={"PATH": path})
    assert said["shell"].startswith("note python is ")
    assert said["shell"].endswith("type: source .venv/bin/activate")
    renamed = Workspace(small.path.rename(small.path.with_name("zätze")))
    assert "dvc exp run --temp and dvc queue fail" in doctor(renamed)["shell"]
    activate = renamed.path / ".venv/bin/activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f"VIRTUAL_ENV={small.path}/.venv\n")
    assert doctor(renamed)["shell"].endswith("make clean && make")
