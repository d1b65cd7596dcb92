"""`make compare`, `make leaderboard` and `make result` between revisions of a finished run."""

import json
import re
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import scipy.stats
import yaml

from digits.plumbing import paths
from revisions import files
from tests.conftest import MODELS, STAGES, WIDE, Workspace

HIDDEN = paths.predictions("hidden", "validation")
STALE = "does not match dvc.lock; run dvc checkout, dvc pull or dvc repro"


def compare(
    workspace: Workspace, rev: str, rev2: str = "workspace", split: str = "", status: int = 0
) -> str:
    """The output of `make compare`, or its error."""
    env = {"REV": rev, "REV2": rev2, "SPLIT": split}
    done = workspace.run_module("revisions.compare", env=env, status=status)
    return done.stdout + done.stderr


def predictions(wrong: range) -> bytes:
    """The file of a model that takes some of 300 sevens for ones."""
    rows = [f"{image},7,{1 if image in wrong else 7},0.5" for image in range(300)]
    return "\n".join(["index,label,prediction,confidence", *rows]).encode()


def replace(path: Path, content: bytes) -> None:
    """Write a file that DVC may have linked to its cache."""
    path.unlink()
    path.write_bytes(content)


def entry(stages: dict[str, Any], stage: str, path: Path | str) -> dict[str, str]:
    """A stage's entry for a file in dvc.lock."""
    entries: list[dict[str, str]] = stages[stage]["deps"] + stages[stage]["outs"]
    return next(entry for entry in entries if entry["path"] == str(path))


def write_lock(workspace: Workspace, stages: dict[str, Any]) -> None:
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def append_comment(path: Path) -> None:
    path.write_text(f"{path.read_text()}# changed\n")


def test_the_better_one_is_named_in_words(small: Workspace) -> None:
    for wrong in (range(30), range(30, 38)):
        small.commit()
        replace(small.path / HIDDEN, predictions(wrong))
        small.set_params(**{"train_hidden.seed": len(wrong)})
        small.dvc("commit", "--force", "--quiet")
    text = compare(small, "main")
    words = " ".join(text.split())
    # Neither seed was run: the models are those of the first commit.
    unrun = "; dvc.lock has train_hidden.seed {} for files that an earlier commit has with "
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.match(f"main [0-9a-f]{{7}}, {date}{unrun.format(30)}", words)
    assert re.search(f" workspace based on [0-9a-f]{{7}}{unrun.format(8)}", words)
    assert "300 validation images; changed: train_hidden.seed 30 -> 8\n" in text
    assert "hidden: only the seeds differ, so the difference is noise\n" in text
    # 22 images of 300 more: 7.33 percentage points. Bonett and Price's interval, with SciPy's z:
    # (31 - 9) / 302 +- 1.96 sqrt((40 - 22^2 / 302) / 302^2).
    # scipy.stats.binomtest(8, 38).pvalue = 0.000472.
    assert (
        "these two models, which say nothing about other seeds: main 90.00%, workspace 97.33%; "
        "only one is correct: 8 in main, 30 in workspace; +7.33 points (95% interval +3.26 to "
        "+11.31); workspace is better than main: equally good models would differ by at least "
        "this much in at most 48 of 100,000 cases"
    ) in words


def test_nothing_differs(small: Workspace) -> None:
    # With the stages in the order of their names.
    write_lock(small, small.lock())
    small.commit()
    # An annotated tag is an object of its own.
    small.run("git", "tag", "--message", "As it is", "same")
    said = compare(small, "same")
    assert "changed: nothing\n" in said
    # In the order of evaluate.models.
    assert re.findall(r"(?m)^(\w+): identical predictions, ", said) == MODELS


def test_the_commands_run_the_missing_seeds(small: Workspace) -> None:
    commands = re.findall("(?m)^  (dvc .*)", compare(small, "wide"))
    assert commands == [
        f"dvc exp run --queue -S train_hidden.units={WIDE} -S train_hidden.seed=2,3,4,5",
        "dvc exp run --queue -S train_hidden.seed=2,3,4,5",
        "dvc queue start",
    ]
    small.run("bash", "-c", commands[0])
    board = small.run_module("revisions.leaderboard").stdout
    assert board.splitlines()[-1] == "DVC's queue: 4 waiting, 0 running"
    append_comment(small.path / "digits/portable/layers.py")
    commit = small.run("git", "rev-parse", "wide").stdout[:7]
    there = f"git switch --detach {commit} && {commands[1]} && git switch -"
    said = " ".join(compare(small, "wide").replace("\\\n", "").split())
    assert f"git stash && {there} && git stash pop" in said
    (small.path / ".dvc/config.local").write_text("[core")
    board = small.run_module("revisions.leaderboard").stdout
    assert "DVC's queue cannot be read (" in board


def store(workspace: Workspace, content: bytes, suffix: str = "") -> str:
    """Put a file, or a list of files, into DVC's cache; returns its MD5."""
    md5 = files.md5_of(content) + suffix
    path = workspace.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def add_runs(workspace: Workspace, units: int, accuracies: list[float], at_hand: bool) -> None:
    """Commit runs of the hidden model with the seeds 2, 3, ... and these accuracies.

    DVC has their predictions if they are `at_hand`.
    """
    stages = workspace.lock()
    for seed, accuracy in enumerate(accuracies, start=2):
        scores = {split: {"accuracy": accuracy} for split in ("validation", "test")}
        metrics = json.dumps(scores).encode()
        (workspace.path / paths.metrics("hidden")).write_bytes(metrics)
        predicted = store(workspace, predictions(wrong=range(round(300 * accuracy), 300)))
        listed = json.dumps([{"md5": predicted, "relpath": HIDDEN.name}]).encode()
        folder = store(workspace, listed, ".dir") if at_hand else "0" * 32 + ".dir"
        trained_with = stages["train_hidden"]["params"]["params.yaml"]["train_hidden"]
        trained_with |= {"units": units, "seed": seed}
        for stage in ("train_hidden", "evaluate"):
            entry(stages, stage, paths.model("hidden"))["md5"] = f"{units:016}{seed:016}"
        entry(stages, "evaluate", paths.metrics("hidden"))["md5"] = files.md5_of(metrics)
        entry(stages, "evaluate", paths.PREDICTIONS)["md5"] = folder
        write_lock(workspace, stages)
        workspace.commit()


@pytest.mark.parametrize("at_hand", [True, False])
def test_settings_are_compared_over_seeds(small: Workspace, at_hand: bool) -> None:
    sides = []
    for branch, units, others in (
        ("main", 32, [0.97, 0.98, 0.99, 1.0]),
        ("wide", WIDE, [0.05, 0.06, 0.07, 0.08]),
    ):
        metrics = small.run("git", "show", f"{branch}:{paths.metrics('hidden')}").stdout
        sides.append([json.loads(metrics)["validation"]["accuracy"], *others])
        add_runs(small, units, others, at_hand)
    expected = scipy.stats.ttest_ind(*reversed(sides), equal_var=False)
    low, high = expected.confidence_interval()
    text = " ".join(compare(small, "main~8", "wide").split())
    where = "" if at_hand else " on these images"
    old, new = (f"{mean(side):.2%} (std {100 * stdev(side):.2f}, 5 seeds)" for side in sides)
    assert f"hidden: main~8 is better than wide{where} main~8 {old}, wide {new}; " in text
    assert f"(95% interval {100 * low:+.2f} to {100 * high:+.2f})" in text
    assert "dvc exp run" not in text
    board = small.run_module("revisions.leaderboard").stdout
    assert board.startswith("Validation accuracy, ")
    assert re.search(rf"(?m)^hidden .* 32 .* 5  best (.*\n)+hidden .* {WIDE} .* 5  worse ", board)


def test_which_images_decide(small: Workspace) -> None:
    assert "300 validation images; " in compare(small, "wide")
    assert "300 test images; " in compare(small, "wide", split="test")
    assert "error: SPLIT is 'train'; must be " in compare(small, "wide", split="train", status=1)
    stages = small.lock()
    for stage in STAGES:
        entry(stages, stage, paths.prepared("validation"))["md5"] = "0" * 32
    write_lock(small, stages)
    text = " ".join(compare(small, "wide").split())
    assert "300 test images; changed: " in text
    assert " They do not share validation images with predictions, so the test images d" in text


def test_files_come_from_the_remote_or_a_line_says_how_to_make_them(small: Workspace) -> None:
    small.dvc("push", "--quiet", "--all-branches")
    md5 = files.md5_of((small.path / HIDDEN).read_bytes())
    for folder in (".dvc/cache", HIDDEN.parent):
        shutil.rmtree(small.path / folder)
    assert "these two models" in compare(small, "wide")
    remote = small.home / "dvc-storage/digits" / "files/md5"
    damaged = remote / md5[:2] / md5[2:]
    replace(damaged, damaged.read_bytes().replace(b"7,7", b"7,1"))
    said = compare(small, "main", status=1)
    assert said == f"error: main: {HIDDEN} is damaged in DVC's cache or remote\n"
    damaged.unlink()
    nowhere = f"no {HIDDEN} (neither here nor in the DVC remote); to make it:"
    commit = small.run("git", "rev-parse", "main").stdout[:7]
    there = f"git switch --detach {commit} && dvc repro && git switch - && dvc checkout"
    assert compare(small, "main", status=1) == f"error: main: {nowhere} {there}\n"
    assert compare(small, "workspace", status=1) == f"error: workspace: {nowhere} dvc repro\n"


def test_no_statement_on_stale_files(small: Workspace) -> None:
    # DVC's files are still those of main.
    small.run("git", "switch", "--quiet", "wide")
    for name in ("revisions.compare", "revisions.report"):
        done = small.run_module(name, env={"REV": "main"}, status=1)
        assert re.fullmatch(rf"error: metrics/\S+ {STALE}\n", done.stderr)
    small.dvc("checkout", "--quiet")
    assert "these two models" in compare(small, "main")


def test_changes_after_the_run_are_named(small: Workspace) -> None:
    small.set_params(**{"train_hidden.units": 16})
    append_comment(small.path / "stages/train_hidden.py")
    (small.path / "digits/portable/NOTES.md").touch()
    changed = "train_hidden.units, digits/portable, stages/train_hidden.py"
    said = " ".join(compare(small, "wide").split())
    assert f", changed since its run: {changed} 300 validation" in said
    result = " ".join(small.run_module("revisions.result").stdout.split())
    assert f"changed since this run: {changed}; run dvc repro " in result
    small.run_module("revisions.report", env={"REV": "wide"})
    page = (small.path / "report/index.html").read_text()
    assert f"<li>workspace: changed since its run: {changed}</li>" in page


def test_half_a_run_is_refused(small: Workspace) -> None:
    """As `dvc repro train_hidden` leaves it, or a merge of dvc.lock by stage."""
    stages = small.lock()
    entry(stages, "train_hidden", paths.model("hidden"))["md5"] = "0" * 32
    write_lock(small, stages)
    reason = "evaluate used a different models/hidden.keras; run dvc repro"
    for name in ("compare", "report", "result"):
        done = small.run_module(f"revisions.{name}", env={"REV": "wide"}, status=1)
        assert done.stderr == f"error: workspace is not a whole run: {reason}\n"
    small.commit()
    assert f"main is not a whole run: {reason}, then commit\n" in compare(small, "main", status=1)
    assert f"skipped main: {reason}, then" in small.run_module("revisions.leaderboard").stdout


def test_edited_metrics_are_refused(small: Workspace) -> None:
    small.edit(str(paths.metrics("hidden")), "0.", "0.9")
    small.commit()
    said = f"{paths.metrics('hidden')} does not match dvc.lock; run dvc repro, then commit\n"
    assert compare(small, "wide", "main", status=1) == f"error: main: {said}"
    board = small.run_module("revisions.leaderboard").stdout
    assert f"skipped main: {said}" in board


def test_the_project_in_a_folder_of_a_repository(small: Workspace) -> None:
    top = small.path.parent
    shutil.move(small.path / ".git", top)
    (top / ".gitignore").write_text("home\n")
    Workspace(top).commit()
    small.set_params(**{"train_hidden.units": 8})
    assert "changed since its run: train_hidden.units\n" in compare(small, "HEAD")
    assert "error: main~1 has no dvc.lock: " in compare(small, "main~1", status=1)
    small.run_module("revisions.report", env={"REV": "HEAD"})
    assert re.search(r"(?m)^hidden +0\.\d+ ", small.run_module("revisions.leaderboard").stdout)


def test_what_cannot_be_compared_is_named(small: Workspace) -> None:
    stages = small.lock()
    others = sorted({*MODELS} - {"hidden"})
    for name in others:
        del stages[f"train_{name}"]
    stages["train_hidden"]["params"]["params.yaml"]["train_hidden"]["units"] = "\x1b[31m64"
    # It may be large.
    stages["prepare"]["deps"].append({"path": "../home", "md5": "a.dir"})
    # A data set with other training images, but the same test images.
    entry(stages, "prepare", "data/raw/small.npz")["md5"] = "f" * 32
    write_lock(small, stages)
    text = " ".join(compare(small, "wide").split())
    # It differs from that of wide, but is not read.
    assert " hidden: " in text and text.count("../home") == 1
    assert (f"not compared, only in wide: {', '.join(others)}" in text) == bool(others)
    assert f"train_hidden.units {WIDE} -> ?[31m64" in text
    for stage in ("prepare", "evaluate"):
        entry(stages, stage, "data/prepared/test.npz")["md5"] = "f" * 32
    write_lock(small, stages)
    said = compare(small, "wide", split="test", status=1)
    assert said.startswith("error: wide and workspace use different test images, or prepare")
    assert "error: REV and REV2 must name revisions: " in compare(small, "", status=1)


def test_the_result(small: Workspace) -> None:
    def result(status: int = 0) -> list[str]:
        done = small.run_module("revisions.result", status=status)
        return (done.stdout + done.stderr).splitlines()

    lines = result()
    names = {"small, test images", "accuracy", "loss", "macro F1", "calibration error"}
    assert {*re.split(" {2,}", lines[0])} >= names
    baseline, *others = MODELS
    test = json.loads((small.path / paths.metrics(baseline)).read_text())["test"]
    assert lines[1].split()[:3] == [baseline, f"{test['accuracy']:.4f}", f"{test['loss']:.4f}"]
    compared = [line.split(":")[0] for line in lines if " vs. " in line]
    assert compared == [f"{name} vs. {baseline}" for name in others]
    assert lines[-1] == "figures: metrics/figures/; to compare: make compare REV=wide"
    # Nothing to compare with is left.
    small.run("git", "branch", "--delete", "--force", "wide")
    small.dvc("exp", "remove", "wide")
    replace(small.path / paths.figure("examples"), b"")
    assert result()[-2:] == [f"{paths.figure('examples')} {STALE}", "figures: metrics/figures/"]
    (small.path / paths.DETAILS).write_text("[]")
    assert result(status=1) == [f"error: {paths.DETAILS} {STALE}"]
    # As after `dvc repro train_hidden` alone.
    write_lock(small, {"train_hidden": small.lock()["train_hidden"]})
    (line,) = result(status=1)
    assert line == "error: workspace is not a whole run: no run of evaluate; run dvc repro"
