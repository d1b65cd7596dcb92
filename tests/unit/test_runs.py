"""The models of all runs in Git, among revisions of other pipelines and damaged ones."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from digits.plumbing.errors import UserError
from revisions import files, runs
from revisions.leaderboard import leaderboard

METRICS = {"test": {"accuracy": 0.75}, "validation": {"accuracy": 0.5}}


def git(*arguments: str) -> str:
    author = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    command = ["git", *author, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    Path("metrics").mkdir()


def run(data: str = "11", code: str = "12", model: str = "", **changes: Any) -> dict[str, Any]:
    """The stages in dvc.lock after a run of the hidden model; with other inputs, another model."""
    hyperparameters = {"units": 100, "seed": 1} | changes
    md5 = model or f"{data} {code} {hyperparameters}"
    return {
        "prepare": {
            "deps": [{"path": "data/raw/mnist.npz", "md5": data}],
            "params": {"params.yaml": {"prepare": {"dataset": "mnist", "seed": 1}}},
        },
        "train_hidden": {
            "deps": [{"path": "b.py", "md5": code}],
            "params": {"params.yaml": {"train_hidden": hyperparameters}},
            "outs": [{"path": "models/hidden.keras", "md5": md5}],
        },
    }


def commit(stages: object, metrics: object = METRICS) -> str:
    """Commit a dvc.lock with these stages, or this text; returns the commit."""
    text = stages if isinstance(stages, str) else json.dumps({"stages": stages})
    Path("dvc.lock").write_text(text)
    Path("metrics/hidden.json").write_text(json.dumps(metrics))
    git("add", ".")
    git("commit", "--quiet", "--allow-empty", "--message", "run")
    return git("rev-parse", "HEAD")


def fitting() -> list[runs.Model]:
    models, unfit = runs.models()
    assert unfit == []
    return models


def test_models_of_branches_experiments_and_older_commits_are_found_once() -> None:
    older = commit(run(seed=3))
    base = commit(run())
    git("switch", "--quiet", "--create", "other")
    commit(run(units=200))
    git("switch", "--quiet", "--detach", "main")
    experiment = commit(run(seed=2))
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/lucky-name", experiment)
    assert files.find("lucky-name").commit == experiment
    git("switch", "--quiet", "main")
    git("tag", "same")
    names = {(dict(m.settings.hyperparameters)["units"], m.seeds[1]): m.run for m in fitting()}
    assert names == {
        ("100", "1"): "main",
        ("200", "1"): "other",
        ("100", "2"): "lucky-name",
        ("100", "3"): older[:7],
    }


def test_models_differ_in_settings_by_code_and_data_but_not_by_seeds() -> None:
    commit(run(code="a comment more", model="the same"))
    commit(run(model="the same"))
    others = run(data="other"), run(code="other"), run(seed=2), run(model="on another processor")
    for other in others:
        commit(other)
    assert len(fitting()) == 4
    assert len({model.settings for model in fitting()}) == 3


@pytest.mark.parametrize(
    ("stages", "metrics"),
    [
        (run() | {"prepare": None}, METRICS),
        (run() | {"prepare": {"deps": "b.py"}}, METRICS),
        ("a: [", METRICS),
        (json.dumps({"stages": run(units=7)}).replace("7", "[" * 2000 + "]" * 2000), METRICS),
        (run(), {"test": {}, "validation": {}}),
        (run(), METRICS | {"test": {"accuracy": int("9" * 400)}}),
    ],
)
def test_a_run_that_does_not_fit_is_left_out_by_name(stages: object, metrics: object) -> None:
    commit(run(seed=5))
    git("switch", "--quiet", "--create", "odd")
    commit(stages, metrics)
    models, unfit = runs.models()
    assert [model.seeds for model in models] == [("1", "5")]
    assert unfit == ["odd"]


def test_a_name_that_no_revision_has() -> None:
    commit(run())
    git("update-ref", "refs/remotes/origin/half", "main")
    git("tag", "blob", "main:dvc.lock")
    said = "no branch, tag, commit or experiment has that name"
    for name in ("nowhere", "--all", "blob"):
        with pytest.raises(UserError, match=f"^'{name}': {said}$"):
            files.find(name)
    with pytest.raises(UserError, match=rf"^'half': {said}; did you mean origin/half\?$"):
        files.find("half")


def test_values_are_those_of_params_yaml() -> None:
    text = json.dumps({"stages": run(units=[100, 50], schedule={"start": 1}, mode="no")})
    commit(text.replace('"start": 1', '"start": 2026-01-02').replace('"no"', "no"))
    board = " ".join(leaderboard(fitting()))
    assert "units [100, 50]" in board and "mode no" in board and "start 2026-01-02" in board


def test_the_trained_models_in_the_order_of_the_list() -> None:
    outs = {name: [{"path": f"models/{name}.keras"}] for name in ("hidden", "linear")}
    stages: dict[str, Any] = {f"train_{name}": {"outs": out} for name, out in outs.items()}
    stages["evaluate"] = {"params": {"params.yaml": {"evaluate": {}}}}
    assert files.Lock.model_validate({"stages": stages}).models == ["hidden", "linear"]
    stages["evaluate"]["params"]["params.yaml"]["evaluate"]["models"] = ["linear", "conv", "hidden"]
    assert files.Lock.model_validate({"stages": stages}).models == ["linear", "hidden"]


def test_git_is_read_whatever_the_user_has_configured(tmp_path: Path) -> None:
    """Each commit is signed, and Git says so where it shows one."""
    key, allowed = tmp_path / "key", tmp_path / "allowed"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", key], check=True)
    allowed.write_text(f"* {key.with_suffix('.pub').read_text()}")
    for setting in (
        "gpg.format=ssh",
        f"user.signingKey={key}",
        f"gpg.ssh.allowedSignersFile={allowed}",
        "commit.gpgSign=true",
        "log.showSignature=true",
        "log.follow=true",
        "color.ui=always",
        "core.abbrev=40",
    ):
        git("config", *setting.split("="))
    head = commit(run())
    assert files.find("main").commit == head
    assert [model.run for model in fitting()] == ["main"]
