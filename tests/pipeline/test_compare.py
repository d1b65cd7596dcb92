"""`make compare`, `make leaderboard` and `make result` between revisions of a finished run.

The differences are written by hand, so that the numbers are known.
"""

import csv
import hashlib
import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml

from digits import paths
from digits.errors import UserError
from tests.conftest import MODELS, MakeOnce, Workspace
from tools.compare import parse_predictions

HIDDEN = paths.predictions("hidden")
# Compares each revision with the workspace in one process, and prints as the command does.
COMPARE_EACH = """
import os, sys
from digits.stage import run_main
from tools import compare
for os.environ["REV"] in sys.argv[1:]:
    try:
        run_main(compare.main)
    except SystemExit as end:
        print(end)
"""


def compare(workspace: Workspace, rev: str, rev2: str = "workspace") -> str:
    """The output of `make compare`."""
    env = {"REV": rev, "REV2": rev2}
    text = workspace.run_module("tools.compare", env=env).stdout
    assert max(map(len, text.splitlines())) <= 100
    return text


def compare_each(workspace: Workspace, *revs: str) -> list[str]:
    """The lines of comparing each with the workspace, in one process."""
    return workspace.run("python", "-c", COMPARE_EACH, *revs).stdout.splitlines()


def replace(path: Path, content: bytes) -> None:
    """Write a file that DVC may have linked to its cache."""
    path.unlink()
    path.write_bytes(content)


def commit_other_model(workspace: Workspace, fixed: int, broken: int) -> None:
    """Let another hidden model recognize images that this one did not, and the other way round."""
    model = workspace.path / paths.model("hidden")
    replace(model, model.read_bytes() + b"another")
    path = workspace.path / HIDDEN
    with path.open() as file:
        header, *rows = csv.reader(file)
    wrong = [row for row in rows if row[1] != row[2]]
    right = [row for row in rows if row[1] == row[2]]
    for row in wrong[:fixed]:
        row[2] = row[1]
    for row in right[:broken]:
        row[2] = str((int(row[1]) + 1) % 10)
    lines = [",".join(row) for row in [header, *rows]]
    replace(path, "\n".join(lines).encode() + b"\n")
    workspace.dvc("commit", "--force", "--quiet")


def run_with(workspace: Workspace, units: int, seed: int, accuracy: float) -> None:
    """Commit the files that Git would have of a run of the hidden model."""
    changes = {"units": units, "seed": seed}
    workspace.set_params(**{f"train_hidden.{key}": value for key, value in changes.items()})
    metrics = {split: {"accuracy": accuracy} for split in ("validation", "test")}
    content = json.dumps(metrics).encode()
    (workspace.path / paths.metrics("hidden")).write_bytes(content)
    stages = workspace.lock()
    stages["train_hidden"]["params"]["params.yaml"]["train_hidden"] |= changes
    md5s = {
        "models/hidden.keras": f"{units:016}{seed:016}",
        "metrics/hidden.json": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
    for stage in stages.values():
        for file in (*stage["deps"], *stage["outs"]):
            file["md5"] = md5s.get(file["path"], file["md5"])
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    workspace.commit(f"{units} units, seed {seed}")


@pytest.fixture(scope="module")
def branched(
    small_pipeline: Workspace, once: MakeOnce, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """On the branch `better`, which recognizes 30 images more than main, and 8 less."""

    def make() -> Workspace:
        workspace = small_pipeline.copy(tmp_path_factory.mktemp("compare"))
        workspace.dvc("push", "--quiet")
        workspace.run("git", "switch", "--quiet", "--create", "better")
        workspace.set_params(**{"train_hidden.units": 64})
        commit_other_model(workspace, fixed=30, broken=8)
        workspace.dvc("push", "--quiet")
        workspace.commit("64 units")
        return workspace

    return once("better", make)


def test_the_better_one_is_named_in_words(branched: Workspace) -> None:
    text = compare(branched, "main")
    assert re.match(
        r"main       [0-9a-f]{7}, \d{4}-\d\d-\d\d \d\d:\d\d\nworkspace  based on [0-9a-f]{7}\n",
        text,
    )
    assert "300 test images; changed: train_hidden.units 32 -> 64\n" in text
    assert re.search(r"(?m)^linear: (.*)% and \1% correct, identical predictions$", text)
    # 22 images of 300 more: 7.33 percentage points. Bonett and Price's interval, with SciPy's z:
    # (31 - 9) / 302 +- 1.96 sqrt((40 - 22^2 / 302) / 302^2).
    assert "+7.33 points (95% interval +3.26 to +11.31)" in text
    # scipy.stats.binomtest(8, 38).pvalue = 0.00047.
    assert "only one correct: 8 in main, 30 in workspace; McNemar's exact test: p = 0.00047" in text
    words = " ".join(text.split())
    assert (
        "verdict, these two models: workspace is better than main: equally good models would "
        "differ this much 5 times in 10,000"
    ) in words
    assert "over seeds: each side needs 3; run 2 more of main and 2 more of workspace" in words


def test_nothing_differs_and_tensorflow_is_not_imported(
    branched: Workspace, tmp_path: Path
) -> None:
    workspace = branched.copy(tmp_path)
    # An annotated tag is an object of its own. A long name is printed once.
    name = "feature/a-hidden-layer-of-64-units"
    workspace.run("git", "tag", "--message", "as it is", name, "better")
    script = "import sys; from tools import compare; compare.main(); print(*sys.modules)"
    *lines, modules = workspace.run("python", "-c", script, env={"REV": name}).stdout.splitlines()
    assert "\n".join(lines).count(name) == 1
    assert "changed: nothing" in lines[2]
    assert sum("identical predictions" in line for line in lines) == len(MODELS)
    assert "tools.compare" in modules.split()
    assert "tensorflow" not in modules.split() and "keras" not in modules.split()


def test_the_commands_run_the_missing_seeds(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    commands = [
        line.strip() for line in compare(workspace, "main").splitlines() if "  dvc " in line
    ]
    assert commands == [
        "dvc exp run --queue -S train_hidden.units=32 -S train_hidden.seed=2,3",
        "dvc exp run --queue -S train_hidden.seed=2,3",
        "dvc queue start",
    ]
    workspace.run("bash", "-c", commands[0])
    queued = "refs/exps/celery/stash"
    listed = workspace.run("git", "log", "--walk-reflogs", "--format=%H", queued).stdout.split()
    texts = [workspace.run("git", "show", f"{commit}:params.yaml").stdout for commit in listed]
    found = [yaml.safe_load(text)["train_hidden"] for text in texts]
    assert sorted((group["units"], group["seed"]) for group in found) == [(32, 2), (32, 3)]
    board = workspace.run_module("tools.leaderboard").stdout
    assert board.splitlines()[-1] == "DVC's queue: 2 waiting, 0 running"


@pytest.fixture(scope="module")
def sampled(branched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four seeds each of 32 and 64 units; those of seed 1 are main's and better's."""
    workspace = branched.copy(tmp_path_factory.mktemp("sampled"))
    for units, accuracies in ((32, (0.80, 0.81, 0.83)), (64, (0.91, 0.92, 0.94))):
        for seed, accuracy in enumerate(accuracies, start=2):
            run_with(workspace, units, seed, accuracy)
    workspace.run("git", "switch", "--quiet", "--detach", "better~6")
    return workspace


def test_settings_are_compared_over_seeds(sampled: Workspace) -> None:
    first = json.loads((sampled.path / paths.metrics("hidden")).read_text())["test"]["accuracy"]
    narrow, wide = [first, 0.80, 0.81, 0.83], [first, 0.91, 0.92, 0.94]
    expected = scipy.stats.ttest_ind(wide, narrow, equal_var=False)
    low, high = expected.confidence_interval()
    text = " ".join(compare(sampled, "main", "HEAD").split())
    assert (
        f"over seeds: {100 * np.mean(narrow):.2f}% (std {100 * np.std(narrow, ddof=1):.2f}, 4 "
        f"seeds) and {100 * np.mean(wide):.2f}% (std {100 * np.std(wide, ddof=1):.2f}, 4 seeds), "
        f"{100 * (np.mean(wide) - np.mean(narrow)):+.2f} points (95% interval {100 * low:+.2f} to "
        f"{100 * high:+.2f}); Welch's t-test: p = {expected.pvalue:.2g}"
    ) in text
    assert "verdict, over seeds: no clear difference: equally good settings would differ" in text
    assert "dvc exp run" not in text
    lines = sampled.run_module("tools.leaderboard").stdout.splitlines()
    assert lines[0].startswith("Validation accuracy, dataset small, md5 ")
    for units, mark in (("64", "best"), ("32", "no clear difference")):
        (row,) = (line for line in lines if re.match(rf"hidden .* {units} ", line))
        assert f"  4  {mark}  " in row


def test_other_seeds_of_the_same_settings(sampled: Workspace) -> None:
    # As DVC names an experiment.
    base = sampled.run("git", "rev-parse", "main").stdout.strip()
    sampled.run("git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/second-seed", "better~5")
    text = compare(sampled, "main", "second-seed")
    assert "changed: train_hidden.seed 1 -> 2" in text
    assert "over seeds: only the seeds differ" in text


def test_files_come_from_the_remote_or_a_line_says_how_to_make_them(
    branched: Workspace, tmp_path: Path
) -> None:
    workspace = branched.copy(tmp_path)
    shutil.copytree(branched.home, workspace.home, dirs_exist_ok=True)
    shutil.rmtree(workspace.path / ".dvc/cache")
    shutil.rmtree(workspace.path / HIDDEN.parent)
    assert "+7.33 points" in compare(workspace, "main")
    linear = str(paths.predictions("linear"))
    outs = workspace.lock()["evaluate"]["outs"]
    (md5,) = (out["md5"] for out in outs if out["path"] == linear)
    remote = workspace.home / "dvc-storage/digits/files/md5"
    damaged = remote / md5[:2] / md5[2:]
    replace(damaged, damaged.read_bytes().replace(b"7,7", b"7,1"))
    assert compare_each(workspace, "main") == [
        f"error: main: {linear} is damaged in DVC's cache or remote"
    ]
    shutil.rmtree(remote)
    nowhere = f"no {linear} (neither here nor in the DVC remote); to make it:"
    commit = workspace.run("git", "rev-parse", "main").stdout[:7]
    there = f"git switch --detach {commit} && dvc repro && git switch - && dvc checkout"
    assert compare_each(workspace, "main", "workspace") == [
        f"error: main: {nowhere} {there}",
        f"error: workspace: {nowhere} dvc repro",
    ]


def test_no_statement_on_stale_files(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    # As DVC's files are those of better, Git's those of main.
    workspace.run("git", "switch", "--quiet", "main")
    remedy = "is not the one in dvc.lock: dvc checkout, dvc pull or dvc repro\n"
    for name in ("tools.compare", "tools.report"):
        done = workspace.run_module(name, env={"REV": "better"}, status=1)
        assert done.stderr == f"error: {HIDDEN} {remedy}"
    workspace.dvc("checkout", "--quiet")
    assert "-7.33 points" in compare(workspace, "better")
    (workspace.path / paths.DETAILS).write_text("[]")
    done = workspace.run_module("tools.result", status=1)
    assert done.stderr == f"error: {paths.DETAILS} {remedy}"


def test_changes_after_the_run_are_named(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    workspace.set_params(**{"train_hidden.units": 16})
    with (workspace.path / "stages/train_linear.py").open("a") as file:
        file.write("# changed\n")
    changed = "train_hidden.units, stages/train_linear.py"
    assert f", changed since its run: {changed}\n" in compare(workspace, "main")
    result = workspace.run_module("tools.result").stdout
    assert f"changed since this run: {changed}; to run it: dvc repro\n" in result
    workspace.run_module("tools.report", env={"REV": "main"})
    page = (workspace.path / "report/index.html").read_text()
    assert f"<li>workspace: changed since its run: {changed}</li>" in page
    # As `dvc repro train_hidden` alone would leave it.
    workspace.run("git", "restore", ".")
    lock = workspace.lock()
    next(dep for dep in lock["evaluate"]["deps"] if "hidden" in dep["path"])["md5"] = "0" * 32
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}))
    assert "changed since its run: models/hidden.keras\n" in compare(workspace, "main")


def test_a_merge_conflict_is_called_one(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    workspace.run("git", "switch", "--quiet", "--create", "other", "main")
    run_with(workspace, units=8, seed=1, accuracy=0.5)
    workspace.run("git", "merge", "better", status=1)
    # params.yaml first, as people do.
    workspace.run("git", "checkout", "--ours", "params.yaml")
    for name in ("tools.compare", "tools.report", "tools.result"):
        done = workspace.run_module(name, env={"REV": "main"}, status=1)
        assert done.stderr == "error: merge conflict in dvc.lock: see docs/troubleshooting.md\n"
    assert "other" in workspace.run_module("tools.leaderboard").stdout


def test_a_model_of_one_side_only_is_named(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    lock = workspace.lock()
    del lock["train_linear"]
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}))
    workspace.commit("Without the linear model")
    text = compare(workspace, "main")
    assert "\nlinear: " not in text and "\nhidden: " in text
    assert "not compared, only in main: linear\n" in text


def test_the_project_in_a_folder_of_a_repository(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    shutil.move(workspace.path / ".git", tmp_path)
    top = Workspace(tmp_path)
    top.home = workspace.home
    (tmp_path / ".gitignore").write_text("home\n")
    top.commit("Move the project into a folder")
    workspace.set_params(**{"train_hidden.units": 8})
    assert "changed since its run: train_hidden.units\n" in compare(workspace, "HEAD")
    (line,) = compare_each(workspace, "main")
    assert line.startswith("error: main: has no dvc.lock: it was not run, ")
    workspace.run_module("tools.report", env={"REV": "HEAD"})
    assert re.search(r"hidden .*64 ", workspace.run_module("tools.leaderboard").stdout)


def test_the_result(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    lines = workspace.run_module("tools.result").stdout.splitlines()
    names = ["small, test images", "accuracy", "loss", "macro F1", "calibration error"]
    assert {*re.split(" {2,}", lines[0])} >= {*names}
    test = json.loads((workspace.path / paths.metrics("linear")).read_text())["test"]
    assert lines[1].split()[:3] == ["linear", f"{test['accuracy']:.4f}", f"{test['loss']:.4f}"]
    assert any(line.startswith("hidden vs. linear: ") for line in lines)
    assert lines[-1] == "figures: metrics/figures/; to compare: make compare REV=main"
    for reference in workspace.run("git", "for-each-ref", "--format=%(refname)").stdout.split():
        if not reference.endswith("/better"):
            workspace.run("git", "update-ref", "-d", reference)
    lines = workspace.run_module("tools.result").stdout.splitlines()
    assert lines[-1] == "figures: metrics/figures/"
    replace(workspace.path / paths.figure("examples"), b"")
    lines = workspace.run_module("tools.result").stdout.splitlines()
    assert lines[-2].startswith(f"{paths.figure('examples')} is not the one in dvc.lock: dvc ch")
    # As after Ctrl-C in evaluate, or `dvc repro train_linear` alone.
    (workspace.path / paths.COMPARISON).unlink()
    assert "to make it: dvc repro" in workspace.run_module("tools.result", status=1).stderr
    lock = {"stages": {"train_linear": workspace.lock()["train_linear"]}}
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump(lock))
    said = workspace.run_module("tools.result", status=1).stderr
    assert said.startswith("error: workspace: no metrics/details.json (")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("0,7,7,nan", "0.confidence: "),
        ("0,7,77777,0.5", "0.prediction: "),
        ("0,7.9,7,0.5", "0.label: "),
        ("0,7", "0.prediction: "),
        ("1,7,7,0.5", "the index does not count"),
    ],
)
def test_invalid_predictions_are_refused(row: str, problem: str) -> None:
    content = f"index,label,prediction,confidence\n{row}\n".encode()
    with pytest.raises(UserError, match=f"^main: linear.csv: {problem}"):
        parse_predictions(content, "main: linear.csv")


def test_revisions_that_cannot_be_compared(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    git = partial(workspace.run, "git")

    def commit_as(branch: str, base: str, old: str, new: str) -> None:
        """A branch with some text in its dvc.lock replaced."""
        git("switch", "--quiet", "--create", branch, base)
        lock = workspace.path / "dvc.lock"
        assert old in lock.read_text()
        lock.write_text(lock.read_text().replace(old, new))
        workspace.commit()

    stage = workspace.lock()["prepare"]
    md5s = {file["path"]: file["md5"] for file in (*stage["deps"], *stage["outs"])}
    commit_as("no-lock", "main", "stages:", "steps:")
    commit_as("other-raw", "main", md5s["data/raw/small.npz"], "f" * 32)
    commit_as("other-images", "other-raw", md5s["data/prepared/test.npz"], "f" * 32)
    commit_as("escape", "better", "units: 64", 'units: "\\e[31m64"')
    git("update-ref", "refs/remotes/origin/half", "main")
    git("tag", "blob", "main:README.md")
    git("switch", "--quiet", "better")
    workspace.dvc("checkout", "--quiet")

    names = ("nowhere", 'x";id;"', "--all", "half", "blob", "", "no-lock", "other-images")
    *lines, last = compare_each(workspace, *names, "other-raw")[: len(names) + 1]
    unknown = "no branch, tag, commit or experiment has that name"
    assert lines == [
        f"error: 'nowhere': {unknown}",
        f"""error: 'x";id;"': {unknown}""",
        f"error: '--all': {unknown}",
        f"error: 'half': {unknown}; did you mean origin/half?",
        f"error: 'blob': {unknown}",
        "error: REV and REV2 must name revisions: make compare REV=main REV2=workspace",
        "error: no-lock: dvc.lock: stages: Field required",
        "error: other-images and workspace have other test images, or prepare them in another way; "
        "only predictions for the same images can be compared",
    ]
    # A data set with other training images, but the same test images.
    assert last.startswith("other-raw")
    assert "changed: train_hidden.units ?[31m64 -> 64" in compare(workspace, "escape")
