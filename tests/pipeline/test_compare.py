"""`make compare` and `make leaderboard` between revisions of a finished run.

What differs between them is written by hand, so that the numbers are known.
"""

import csv
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
from tests.conftest import MakeOnce, Workspace

HIDDEN = paths.predictions("hidden")
# Git's name for a tree without files.
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
# Compares each revision with the workspace in one process; prints what the command would.
COMPARE_EACH = """
import os, sys
from digits.run import run_main
from tools import compare
for os.environ["REV"] in sys.argv[1:]:
    try:
        run_main(compare.main)
    except SystemExit as end:
        print(end)
"""


def compare(workspace: Workspace, rev: str, rev2: str = "workspace") -> str:
    """What `make compare` prints."""
    env = {"REV": rev, "REV2": rev2}
    text = workspace.run_module("tools.compare", env=env).stdout
    assert text.count("\n") <= 20
    assert max(map(len, text.splitlines())) <= 100
    return text


def compare_each(workspace: Workspace, *revs: str) -> list[str]:
    """What comparing each with the workspace prints, in one process."""
    env = {"REV2": "workspace"}
    return workspace.run("python", "-c", COMPARE_EACH, *revs, env=env).stdout.splitlines()


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
    """Commit what Git would have of a run of the hidden model."""
    changes = {"units": units, "seed": seed}
    workspace.set_params(**{f"train_hidden.{key}": value for key, value in changes.items()})
    stages = workspace.lock()
    stages["train_hidden"]["params"]["params.yaml"]["train_hidden"] |= changes
    (model,) = (out for out in stages["train_hidden"]["outs"] if out["path"].endswith(".keras"))
    model["md5"] = f"{units:016}{seed:016}"
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    metrics = {split: {"accuracy": accuracy} for split in ("validation", "test")}
    (workspace.path / paths.metrics("hidden")).write_text(json.dumps(metrics))
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


def test_what_is_better_is_said_in_words(branched: Workspace) -> None:
    text = compare(branched, "main")
    assert re.match(
        r"main       [0-9a-f]{7}, \d{4}-\d\d-\d\d \d\d:\d\d\nworkspace  based on ", text
    )
    assert "300 test images; what differs: train_hidden.units 32 -> 64\n" in text
    assert re.search(r"(?m)^linear: (.*) % and \1 % correct, identical predictions$", text)
    # 22 images of 300 more: 7.33 percentage points. Bonett and Price's interval, with SciPy's z:
    # (31 - 9) / 302 +- 1.96 sqrt((40 - 22^2 / 302) / 302^2).
    assert "+7.33 percentage points (95 % interval +3.26 to +11.31)" in text
    # scipy.stats.binomtest(8, 38).pvalue = 0.00047.
    assert (
        "right in one only: 8 in main, 30 in workspace; McNemar's exact test: p = 0.00047" in text
    )
    assert (
        "workspace is better than main: a split as uneven as 8 to 30 would come up in 5 of 10,000"
        in " ".join(text.split())
    )
    assert (
        "over seeds: it takes 3 on either side; run 2 more of main and 2 more of workspace" in text
    )


def test_a_long_name_is_printed_once(branched: Workspace) -> None:
    names = ("feature/a-hidden-layer-of-32-units", "feature/a-hidden-layer-of-64-units")
    for name, revision in zip(names, ("main", "better"), strict=True):
        branched.run("git", "branch", name, revision)
    text = compare(branched, *names)
    assert all(text.count(name) == 1 for name in names)
    first, second = (line.split()[0] for line in text.splitlines()[:2])
    assert f"8 in {first}, 30 in {second}; McNemar's" in text


def test_nothing_differs_and_tensorflow_is_not_imported(branched: Workspace) -> None:
    # An annotated tag is an object of its own.
    branched.run("git", "tag", "--message", "as it is", "v1", "better")
    script = "import sys; from tools import compare; compare.main(); print(*sys.modules)"
    *lines, modules = branched.run("python", "-c", script, env={"REV": "v1"}).stdout.splitlines()
    assert "what differs: nothing" in lines[2]
    assert ["identical predictions" in line for line in lines[3:]] == [False, True, False, True]
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
    queued = [
        workspace.run("git", "show", f"{commit}:params.yaml").stdout
        for commit in workspace.run(
            "git", "reflog", "show", "--format=%H", "refs/exps/celery/stash"
        ).stdout.split()
    ]
    found = {tuple(yaml.safe_load(text)["train_hidden"].values()) for text in queued}
    assert {(values[0], values[-1]) for values in found} == {(32, 2), (32, 3)}


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
        f"over seeds: {100 * np.mean(narrow):.2f} % (std {100 * np.std(narrow, ddof=1):.2f}, 4 "
        f"seeds) and {100 * np.mean(wide):.2f} % (std {100 * np.std(wide, ddof=1):.2f}, 4 seeds), "
        f"{100 * (np.mean(wide) - np.mean(narrow)):+.2f} percentage points (95 % interval "
        f"{100 * low:+.2f} to {100 * high:+.2f}); Welch's t-test: p = {expected.pvalue:.2g}"
    ) in text
    assert "verdict on the settings: no evidence of a difference: means this far apart" in text
    assert "dvc exp run" not in text


def test_other_seeds_of_the_same_settings(sampled: Workspace) -> None:
    # As DVC names an experiment.
    base = sampled.run("git", "rev-parse", "main").stdout.strip()
    sampled.run("git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/second-seed", "better~5")
    text = compare(sampled, "main", "second-seed")
    assert "what differs: train_hidden.seed 1 -> 2" in text
    assert "over seeds: nothing but the seed differs" in text


def test_leaderboard(sampled: Workspace) -> None:
    lines = sampled.run_module("tools.leaderboard").stdout.splitlines()
    assert lines[0].startswith("Validation accuracy, dataset small, md5 ")
    assert lines[2].split()[:5] == ["model", "batch_size", "epochs", "learning_rate", "units"]
    rows = {line.split()[4]: line for line in lines if line.startswith("hidden")}
    assert "  4  best  " in rows["64"]
    assert "  4  not told apart  " in rows["32"]
    assert max(map(len, lines)) <= 100


def test_predictions_come_from_the_remote_or_a_line_says_what_makes_them(
    branched: Workspace, tmp_path: Path
) -> None:
    workspace = branched.copy(tmp_path)
    shutil.copytree(branched.environment["HOME"], workspace.environment["HOME"], dirs_exist_ok=True)
    shutil.rmtree(workspace.path / ".dvc/cache")
    shutil.rmtree(workspace.path / HIDDEN.parent)
    assert "+7.33 percentage points" in compare(workspace, "main")
    shutil.rmtree(Path(workspace.environment["HOME"]) / "dvc-storage")
    commit = workspace.run("git", "rev-parse", "main").stdout[:7]
    lines = compare_each(workspace, "main", "workspace")
    nowhere = "no metrics/predictions/linear.csv (neither here nor in the DVC remote)"
    assert lines == [
        f"error: main: {nowhere}; to make it: git switch --detach {commit} && dvc repro",
        f"error: workspace: {nowhere}; to make it: dvc repro",
    ]


def test_a_workspace_that_has_changed_since_its_run_is_said_to(
    branched: Workspace, tmp_path: Path
) -> None:
    workspace = branched.copy(tmp_path)
    workspace.set_params(**{"train_hidden.units": 16})
    with (workspace.path / "stages/train_linear.py").open("a") as file:
        file.write("# changed\n")
    text = compare(workspace, "main")
    assert ", changed since its run: train_hidden.units, stages/train_linear.py\n" in text


def test_what_cannot_be_compared_is_a_line_each(branched: Workspace, tmp_path: Path) -> None:
    workspace = branched.copy(tmp_path)
    git = partial(workspace.run, "git")

    def commit_as(branch: str, path: str | Path, old: str, new: str) -> None:
        """main on a branch, with some text in one of its files replaced."""
        git("switch", "--quiet", "--create", branch, "main")
        text = (workspace.path / path).read_text()
        assert old in text
        (workspace.path / path).write_text(text.replace(old, new))
        workspace.commit()

    stages = workspace.lock()["prepare"]
    raw = next(dep["md5"] for dep in stages["deps"] if dep["path"] == "data/raw/small.npz")
    test = next(out["md5"] for out in stages["outs"] if out["path"] == "data/prepared/test.npz")
    commit_as("other-raw", "dvc.lock", raw, "f" * 32)
    commit_as("no-lock", "dvc.lock", "stages:", "steps:")
    git("switch", "--quiet", "--create", "other-images", "other-raw")
    text = (workspace.path / "dvc.lock").read_text()
    (workspace.path / "dvc.lock").write_text(text.replace(test, "f" * 32))
    workspace.commit()
    empty = git("commit-tree", "-m", "empty", EMPTY_TREE)
    git("branch", "empty", empty.stdout.strip())
    git("switch", "--quiet", "better")
    workspace.dvc("checkout", "--quiet")

    names = ("nowhere", 'x";id;"', "HEAD^{tree}", "--all", "", "empty", "no-lock", "other-images")
    *lines, last = compare_each(workspace, *names, "other-raw")[: len(names) + 1]
    unknown = "no branch, tag, commit or experiment has that name"
    assert lines == [
        f"error: 'nowhere': {unknown}",
        f"""error: 'x";id;"': {unknown}""",
        f"error: 'HEAD^{{tree}}': {unknown}",
        f"error: '--all': {unknown}",
        "error: REV and REV2 must name revisions: make compare REV=main REV2=workspace",
        "error: empty: has no dvc.lock; not run yet, or older than this pipeline",
        "error: no-lock: dvc.lock does not list stages",
        "error: other-images and workspace have other test images, or prepare them in another way; "
        "only predictions for the same images can be compared",
    ]
    # A data set with other training images, but the same test images.
    assert last.startswith("other-raw")
