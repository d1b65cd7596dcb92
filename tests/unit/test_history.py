"""The models of all runs in Git, among revisions of other pipelines and damaged ones."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import history
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
HIDDEN_FIRST = ["hidden", "linear"]
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


def found() -> list[history.Model]:
    models, unfit = history.runs()
    assert unfit == []
    return models


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
    names = {(dict(m.settings.hyperparameters)["units"], m.seeds[1]): m.run for m in found()}
    assert names == {
        ("100", "1"): "main",
        ("200", "1"): "other",
        ("100", "2"): "lucky-name",
        ("100", "3"): older[:7],
    }


def test_models_differ_in_settings_by_code_and_data_but_not_by_seeds(
    commit: Callable[..., str],
) -> None:
    # With a comment more, the code of the next run: the same model.
    commit(train=TRAIN | {"deps": [{"path": "b.py", "md5": "a comment more"}]})
    commit()
    for key, index, md5 in (("deps", 0, "other data"), ("deps", 1, "other code")):
        prepare, train = copy.deepcopy(PREPARE), copy.deepcopy(TRAIN)
        prepare[key][index]["md5"] = train["outs"][0]["md5"] = md5
        commit(prepare, train)
    commit(seed=2)
    assert len(found()) == 4
    assert len({model.settings for model in found()}) == 3


@pytest.mark.parametrize(
    ("prepare", "train", "metrics"),
    [
        (None, TRAIN, METRICS),
        ({}, TRAIN, METRICS),
        (PREPARE, TRAIN | {"deps": "b.py"}, METRICS),
        (PREPARE, TRAIN | {"params": {"params.yaml": {"train_hidden": {"units": 7}}}}, METRICS),
        (PREPARE, TRAIN, {"test": {}, "validation": {}}),
        (PREPARE, TRAIN, METRICS | {"test": {"accuracy": int("9" * 400)}}),
        (PREPARE, TRAIN, METRICS | {"test": {"accuracy": float("nan")}}),
        (PREPARE, TRAIN, [0.5]),
    ],
)
def test_a_run_that_does_not_fit_is_left_out_by_name(
    commit: Callable[..., str], prepare: object, train: object, metrics: object
) -> None:
    commit(seed=5)
    git("switch", "--quiet", "--create", "odd")
    commit(prepare, train, metrics)
    models, unfit = history.runs()
    assert [model.seeds for model in models] == [("1", "5")]
    assert unfit == ["odd"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"- a\n- b", b"a: [", b"stages: 1", b"[" * 2000 + b"]" * 2000]
)
def test_an_invalid_lock_is_left_out_by_name(commit: Callable[..., str], content: bytes) -> None:
    commit()
    git("switch", "--quiet", "--create", "odd")
    Path("dvc.lock").write_bytes(content)
    git("commit", "--quiet", "--all", "--message", "damaged")
    models, unfit = history.runs()
    assert (len(models), unfit) == (1, ["odd"])


def test_lists_and_dates_as_values_are_settings_like_others(commit: Callable[..., str]) -> None:
    commit(units=[100, 50], schedule={"warmup": 1}, mode="no")
    text = Path("dvc.lock").read_text().replace('"warmup": 1', '"start": 2026-01-02')
    Path("dvc.lock").write_text(text.replace('"no"', "no"))
    git("commit", "--quiet", "--all", "--message", "a date")
    text = " ".join(leaderboard(found()))
    assert "units [100, 50]" in text and "mode no" in text


@pytest.mark.parametrize(
    ("evaluate", "models"),
    [
        ({"examples": 40}, HIDDEN_FIRST),
        ({"models": ["linear", "hidden"]}, ["linear", "hidden"]),
        ({"models": ["linear", "conv"]}, ["linear"]),
    ],
)
def test_the_trained_models_in_the_order_of_the_list(
    evaluate: dict[str, Any], models: list[str]
) -> None:
    stages: dict[str, Any] = {
        f"train_{name}": {"outs": [{"path": f"models/{name}.keras"}]} for name in HIDDEN_FIRST
    }
    stages |= {"train_conv": {}, "evaluate": {"params": {"params.yaml": {"evaluate": evaluate}}}}
    assert history.Lock.model_validate({"stages": stages}).models == models


def test_git_is_read_whatever_the_user_has_configured(commit: Callable[..., str]) -> None:
    key = Path(".git/key").absolute()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    settings = {
        "gpg.format": "ssh",
        "user.signingKey": str(key),
        "commit.gpgSign": "true",
        "color.ui": "always",
        "core.pager": "false",
        "core.abbrev": "40",
        "log.showSignature": "true",
        "log.decorate": "full",
        "log.follow": "true",
    }
    for name, value in settings.items():
        git("config", name, value)
    head = commit()
    assert history.find("main").commit == head
    assert [model.run for model in found()] == ["main"]
