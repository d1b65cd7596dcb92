"""The models of all runs in Git, among revisions of other pipelines and damaged ones."""

import json
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from digits.plumbing.errors import UserError
from digits.plumbing.terminal import sanitize
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
    prepared = {"path": "data/prepared/train.npz", "md5": data}
    trained = {"path": "models/hidden.keras", "md5": model or f"{data} {code} {hyperparameters}"}
    return {
        "prepare": {
            "deps": [{"path": "data/raw/mnist.npz", "md5": data}],
            "params": {"params.yaml": {"prepare": {"dataset": "mnist", "seed": 1}}},
            "outs": [prepared],
        },
        "train_hidden": {
            "deps": [{"path": "b.py", "md5": code}, prepared],
            "params": {"params.yaml": {"train_hidden": hyperparameters}},
            "outs": [trained],
        },
        "evaluate": {"deps": [trained], "outs": [{"path": "metrics/hidden.json"}]},
    }


def commit(stages: Any, metrics: object = METRICS) -> str:
    """Commit a dvc.lock with these stages, or this text, and `metrics`; returns the commit."""
    if metrics is METRICS:
        # No two runs have the same loss.
        metrics = METRICS | {"test": {"accuracy": 0.75, "loss": zlib.crc32(repr(stages).encode())}}
    text = json.dumps(metrics)
    if not isinstance(stages, str):
        for out in stages.get("evaluate", {}).get("outs", []):
            out["md5"] = files.md5_of(text.encode())
        stages = json.dumps({"stages": stages})
    Path("dvc.lock").write_text(stages)
    Path("metrics/hidden.json").write_text(text)
    git("add", ".")
    git("commit", "--quiet", "--allow-empty", "--message", "run")
    return git("rev-parse", "HEAD")


def fitting() -> list[runs.Model]:
    models, unfit = runs.models()
    assert unfit == {}
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
    names = {
        (dict(m.settings.hyperparameters)["units"], m.seeds[1]): m.revision.name for m in fitting()
    }
    assert names == {
        ("100", "1"): "main",
        ("200", "1"): "other",
        ("100", "2"): "lucky-name",
        ("100", "3"): older[:7],
    }


def test_a_model_belongs_to_main_or_to_the_oldest_branch_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for day, (name, units) in enumerate([("main", 100), ("z", 200), ("a", 200)], start=1):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-01-{day:02} 12:00 +0000")
        git("switch", "--quiet", "--force-create", name)
        commit(run(units=units))
    git("branch", "b", "main")
    assert [model.revision.name for model in fitting()] == ["z", "main"]


def test_models_differ_in_settings_by_code_and_data_but_not_by_seeds() -> None:
    commit(run(code="a comment more", model="the same"))
    commit(run(model="the same"))
    others = run(data="other"), run(code="other"), run(seed=2), run(model="on another processor")
    for other in others:
        commit(other)
    assert len(fitting()) == 4
    assert len({model.settings for model in fitting()}) == 3


BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("stages", "metrics", "said"),
    [
        (run() | {"prepare": {"deps": "b.py"}}, METRICS, "dvc.lock: stages.prepare.deps: "),
        (run() | {"train_a\nb": {}}, METRICS, "dvc.lock: stages.train_a?b.[key]: "),
        ("a: [", METRICS, "dvc.lock is not YAML ("),
        ("a: " + "[" * 30_000, METRICS, "dvc.lock is too large or nested too deeply"),
        ("a: " + "- " * 30_000, METRICS, "dvc.lock is too large or nested too deeply"),
        ("a: " + "[" * 300 + "]" * 300, METRICS, "dvc.lock is too large or nested too deeply"),
        ("a: &x [*x]", METRICS, "dvc.lock is not YAML ("),
        (f"a0: &a0 [x]\n{BOMB}", METRICS, "dvc.lock is too large or nested too deeply"),
        (run(), {"test": {}, "validation": {}}, "comes from a different pipeline: 'accuracy' is "),
        (run(), METRICS | {"test": {"accuracy": int("9" * 400)}}, "metrics/hidden.json: test.acc"),
        (run(), METRICS | {"test": {"accuracy": 7}}, "metrics/hidden.json: an accuracy is not"),
        (json.loads(json.dumps(run()).replace("s/h", "s/my h")), METRICS, "metrics/my hidden.jso"),
        ({**run(), "prepare": run("12")["prepare"]}, METRICS, "train_hidden used a different dat"),
        ({k.replace("train", "fit"): v for k, v in run(units=7).items()}, METRICS, "comes from a"),
    ],
)
def test_a_run_that_does_not_fit_is_left_out_by_name(
    stages: object, metrics: object, said: str
) -> None:
    commit(run(seed=5))
    git("switch", "--quiet", "--create", "odd")
    commit(stages, metrics)
    models, left_out = runs.models()
    assert [model.seeds for model in models] == [("1", "5")]
    ((reason, names),) = left_out.items()
    assert names == ["odd"] and sanitize(reason).startswith(said)


def test_metrics_that_were_edited_do_not_count() -> None:
    commit(run())
    Path("metrics/hidden.json").write_text(json.dumps(METRICS))
    git("commit", "--quiet", "--all", "--message", "edit")
    git("switch", "--quiet", "--create", "whole")
    commit(run())
    models, left_out = runs.models()
    assert [model.revision.name for model in models] == ["whole"]
    reason = "metrics/hidden.json does not match dvc.lock; run dvc repro, then commit"
    assert left_out == {reason: ["main"]}


@pytest.mark.parametrize(
    ("stage", "key", "listed"),
    [
        ("train_hidden", "units", "77"),
        ("prepare", "validation_size", "77"),
        # A new model, but the data are those of the first run.
        ("prepare", "validation_size", "77 in both"),
    ],
)
def test_parameters_that_were_recorded_without_a_run(stage: str, key: str, listed: str) -> None:
    """`dvc commit --force` after an edit of params.yaml."""
    stages = run(model="the same")
    parameters = stages[stage]["params"]["params.yaml"][stage]
    parameters[key] = 77
    commit(stages)
    parameters[key] = 100
    if listed == "77 in both":
        stages["train_hidden"] = run(seed=2)["train_hidden"]
        stages["evaluate"] = run(seed=2)["evaluate"]
    commit(stages)
    models = fitting()
    values = [dict(model.settings.data + model.settings.hyperparameters)[key] for model in models]
    assert values == ["77"] * (2 if listed == "77 in both" else 1)
    said = f"dvc.lock has {stage}.{key} 100 for files that an earlier commit has with 77; "
    assert runs.unrun_parameters(files.find("main")).startswith(said)


@pytest.mark.parametrize("name", ["train_hidden", "train_old"])
def test_a_stage_that_was_left_behind_says_nothing_of_parameters(name: str) -> None:
    """It is to run again, or dvc.yaml no longer has it."""
    left = run()["train_hidden"] | {"outs": [{"path": f"models/{name[6:]}.keras", "md5": "old"}]}
    for size in (5, 7):
        stages = run(data=str(size))
        stages["prepare"]["params"]["params.yaml"]["prepare"]["validation_size"] = size
        commit(stages | {name: left})
    assert runs.unrun_parameters(files.find("main")) == ""


def test_results_that_were_recorded_without_a_run() -> None:
    """`dvc commit --force evaluate` after a training: the metrics are those of the old model."""
    commit(run(units=77), METRICS | {"test": {"accuracy": 0.7}})
    commit(run("12", units=77), METRICS | {"test": {"accuracy": 0.7}})
    commit(run(), METRICS | {"test": {"accuracy": 0.7}})
    models, left_out = runs.models()
    assert [dict(model.settings.hyperparameters)["units"] for model in models] == ["77"]
    assert [reason.split(";")[1] for reason in left_out] == [" dvc repro --force evaluate"]
    said = "dvc.lock has train_hidden.units 100 for files that an earlier commit has with 77; "
    assert runs.unrun_parameters(files.find("main")).startswith(said)


def test_a_merge_that_takes_parameters_from_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    for day, (branch, stages) in enumerate(
        [("main", run()), ("ours", run(seed=5)), ("theirs", run(units=200))], start=1
    ):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-01-{day:02} 12:00 +0000")
        git("switch", "--quiet", "--force-create", branch, *["main"] * (day > 1))
        commit(stages)
    git("switch", "--quiet", "ours")
    git("merge", "--quiet", "--no-commit", "--strategy", "ours", "theirs")
    merged = run(seed=5)
    merged["train_hidden"]["params"] = {"params.yaml": {"train_hidden": {"units": 200, "seed": 5}}}
    commit(merged)
    said = "dvc.lock has train_hidden.units 200 for files that an earlier commit has with 100; "
    assert runs.unrun_parameters(files.find("ours")).startswith(said)


def test_a_folder_in_the_place_of_dvc_lock_is_no_run() -> None:
    commit(run())
    git("switch", "--quiet", "--create", "early")
    Path("dvc.lock").unlink()
    Path("dvc.lock").mkdir()
    Path("dvc.lock/x blob 9").write_text("stages: 1")
    git("add", ".")
    git("commit", "--quiet", "--message", "A folder")
    assert [model.revision.name for model in fitting()] == ["main"]


def test_a_name_that_no_revision_has() -> None:
    with pytest.raises(UserError, match=r"^no commit yet: git add "):
        files.find("workspace")
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
    commit(run(units=[100, 50], schedule={"start": 1}, mode="no"))
    git("update-ref", "-d", "HEAD")
    text = Path("dvc.lock").read_text().replace('"start": 1', '"start": 2026-01-02')
    commit(text.replace('"no"', "no"), json.loads(Path("metrics/hidden.json").read_text()))
    board = " ".join(leaderboard(fitting()))
    assert "units [100, 50]" in board and "mode no" in board and "start 2026-01-02" in board
