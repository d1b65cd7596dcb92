"""Finding the models of all runs in Git, among revisions of other pipelines."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import runs
from tools.leaderboard import leaderboard

PREPARE: dict[str, Any] = {
    "deps": [{"path": "data/raw/mnist.npz", "md5": "11"}, {"path": "a.py", "md5": "12"}],
    "params": {"params.yaml": {"prepare": {"dataset": "mnist", "seed": 1}}},
}
TRAIN: dict[str, Any] = {
    "deps": [{"path": "b.py", "md5": "13"}],
    "params": {"params.yaml": {"train_hidden": {"units": 100, "seed": 1}}},
    "outs": [{"path": "models/hidden.keras", "md5": "14"}],
}
METRICS = {"test": {"accuracy": 0.75}, "validation": {"accuracy": 0.5}}


def git(*arguments: str) -> str:
    author = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    command = ["git", *author, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Commits a run of the hidden model to a new repository; returns the commit."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    Path("metrics").mkdir()

    def make(
        prepare: object = PREPARE, train: object = TRAIN, metrics: object = METRICS, **changes: Any
    ) -> str:
        train = copy.deepcopy(train)
        if changes:
            assert isinstance(train, dict)
            # Another seed, another model.
            train["outs"][0]["md5"] = json.dumps(changes)
            train["params"]["params.yaml"]["train_hidden"] |= changes
        stages = {"prepare": prepare, "train_hidden": train}
        Path("dvc.lock").write_text(json.dumps({"stages": stages}))
        Path("metrics/hidden.json").write_text(json.dumps(metrics))
        git("add", ".")
        git("commit", "--quiet", "--allow-empty", "--message", "run")
        return git("rev-parse", "HEAD")

    return make


def test_models_of_branches_experiments_and_older_commits_are_found_once(
    commit: Callable[..., str],
) -> None:
    older = commit(seed=3)
    base = commit()
    git("switch", "--quiet", "--create", "other")
    commit(units=200)
    git("switch", "--quiet", "--detach", "main")
    experiment = commit(seed=2)
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/lucky-name", experiment)
    git("switch", "--quiet", "main")
    git("tag", "same")
    found = {(dict(m.settings.hyperparameters)["units"], m.seeds[1]): m.run for m in runs.models()}
    assert found == {
        ("100", "1"): "main",
        ("200", "1"): "other",
        ("100", "2"): "lucky-name",
        ("100", "3"): older[:7],
    }


def test_models_differ_in_settings_by_code_and_data_but_not_by_seeds(
    commit: Callable[..., str],
) -> None:
    commit()
    for change in (("deps", 0, "other data"), ("deps", 1, "other code")):
        prepare, train = copy.deepcopy(PREPARE), copy.deepcopy(TRAIN)
        key, index, md5 = change
        prepare[key][index]["md5"] = train["outs"][0]["md5"] = md5
        commit(prepare, train)
    commit(seed=2)
    found = runs.models()
    assert len(found) == 4
    assert len({model.settings for model in found}) == 3


def test_a_model_that_other_code_trains_alike_counts_once(commit: Callable[..., str]) -> None:
    commit()
    commit(train=TRAIN | {"deps": [{"path": "b.py", "md5": "a comment more"}]})
    assert len(runs.models()) == 1


@pytest.mark.parametrize(
    ("prepare", "train", "metrics"),
    [
        ({}, TRAIN, METRICS),
        (PREPARE, None, METRICS),
        (PREPARE, TRAIN | {"params": {"params.yaml": {"other": {"seed": 1}}}}, METRICS),
        (PREPARE, TRAIN | {"params": {"params.yaml": {"train_hidden": {"units": 7}}}}, METRICS),
        (PREPARE, TRAIN | {"params": ["train_hidden"]}, METRICS),
        (PREPARE, TRAIN | {"outs": []}, METRICS),
        (PREPARE, TRAIN, {"accuracy": 0.5}),
        (PREPARE, TRAIN, {"test": {"accuracy": [0.5]}}),
        (PREPARE, TRAIN, [0.5]),
        ("", "", ""),
    ],
)
def test_revisions_of_other_pipelines_are_left_out(
    commit: Callable[..., str], prepare: object, train: object, metrics: object
) -> None:
    commit(prepare, train, metrics)
    commit(seed=5)
    assert [model.seeds for model in runs.models()] == [("1", "5")]


def test_files_that_are_none_of_dvc(commit: Callable[..., str]) -> None:
    commit()
    for content in (b"\xff\xfe\x00", b"", b"- a\n- b", b"a: [", b"stages: 1", b"x\nblob 3\n"):
        Path("dvc.lock").write_bytes(content)
        git("commit", "--quiet", "--all", "--message", "damaged")
    Path("dvc.lock").unlink()
    Path("dvc.lock").mkdir()
    Path("dvc.lock/file").write_text("")
    git("add", "--all")
    git("commit", "--quiet", "--message", "a folder")
    assert len(runs.models()) == 1


def test_lists_as_values_are_settings_like_others(commit: Callable[..., str]) -> None:
    commit(units=[100, 50], schedule={"warmup": 1})
    assert "[100, 50]" in leaderboard(runs.models())
