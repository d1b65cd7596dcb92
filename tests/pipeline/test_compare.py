"""`make compare`, `make leaderboard` and `make result` between revisions of a finished run.

The differences are written by hand, so that the numbers are known.
"""

import json
import re
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import scipy.stats
import yaml

from digits import paths
from digits.errors import UserError
from tests.conftest import MODELS, MakeOnce, Workspace
from tools.compare import parse_predictions

HIDDEN = paths.predictions("hidden")
STALE = "is not the one in dvc.lock: dvc checkout, dvc pull or dvc repro"


def compare(workspace: Workspace, rev: str, rev2: str = "workspace", status: int = 0) -> str:
    """The output of `make compare`, or its error."""
    done = workspace.run_module("tools.compare", env={"REV": rev, "REV2": rev2}, status=status)
    return done.stdout + done.stderr


def replace(path: Path, content: bytes) -> None:
    """Write a file that DVC may have linked to its cache."""
    path.unlink()
    path.write_bytes(content)


def write_lock(workspace: Workspace, stages: dict[str, Any], **md5s: str) -> None:
    """Write a dvc.lock, in which these files have these MD5 sums."""
    for stage in stages.values():
        for file in (*stage["deps"], *stage["outs"]):
            file["md5"] = md5s.get(file["path"], file["md5"])
    (workspace.path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def run_with(workspace: Workspace, units: int, seed: int) -> None:
    """Write the dvc.lock of a run of the hidden model."""
    stages = workspace.lock()
    stages["train_hidden"]["params"]["params.yaml"]["train_hidden"] |= {
        "units": units,
        "seed": seed,
    }
    write_lock(workspace, stages, **{"models/hidden.keras": f"{units:016}{seed:016}"})


@pytest.fixture(scope="module")
def better(
    small_pipeline: Workspace, once: MakeOnce, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """On the branch `better`, which recognizes 30 images more than main, and 8 less."""

    def make() -> Workspace:
        workspace = small_pipeline.copy(tmp_path_factory.mktemp("compare"))
        workspace.run("git", "switch", "--quiet", "--create", "better")
        workspace.set_params(**{"train_hidden.units": 64})
        model, predictions = workspace.path / paths.model("hidden"), workspace.path / HIDDEN
        replace(model, model.read_bytes() + b"another")
        header, *rows = (line.split(",") for line in predictions.read_text().splitlines())
        wrong = [row for row in rows if row[1] != row[2]]
        right = [row for row in rows if row[1] == row[2]]
        for row in wrong[:30]:
            row[2] = row[1]
        for row in right[:8]:
            row[2] = str((int(row[1]) + 1) % 10)
        replace(predictions, "\n".join(map(",".join, [header, *rows])).encode())
        workspace.dvc("commit", "--force", "--quiet")
        workspace.commit("64 units")
        workspace.dvc("push", "--quiet", "--all-branches")
        return workspace

    return once("better", make)


@pytest.fixture
def workspace(better: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to change at will."""
    shutil.copytree(better.home, tmp_path / "home")
    return better.copy(tmp_path)


def test_the_better_one_is_named_in_words(better: Workspace) -> None:
    text = compare(better, "main")
    assert max(map(len, text.splitlines())) <= 100
    head = r"main       [0-9a-f]{7}, \d{4}-\d\d-\d\d \d\d:\d\d\nworkspace  based on [0-9a-f]{7}\n"
    assert re.match(head, text)
    assert "300 test images; changed: train_hidden.units 32 -> 64\n" in text
    assert re.search(r"(?m)^linear: (.*)% and \1% correct, identical predictions$", text)
    # 22 images of 300 more: 7.33 percentage points. Bonett and Price's interval, with SciPy's z:
    # (31 - 9) / 302 +- 1.96 sqrt((40 - 22^2 / 302) / 302^2).
    assert "+7.33 points (95% interval +3.26 to +11.31)" in text
    # scipy.stats.binomtest(8, 38).pvalue = 0.00047.
    assert "only one correct: 8 in main, 30 in workspace; McNemar's exact test: p = 0.00047" in text
    assert "  verdict, these two models: workspace is better than main: equally good mo" in text
    assert "  over seeds: each side needs 3; run 2 more of main and 2 more of workspace\n" in text


def test_nothing_differs_and_tensorflow_is_not_imported(workspace: Workspace) -> None:
    # An annotated tag is an object of its own.
    workspace.run("git", "tag", "--message", "As it is", "same", "better")
    script = "import sys; from tools import compare; compare.main(); print(*sys.modules)"
    *lines, modules = workspace.run("python", "-c", script, env={"REV": "same"}).stdout.splitlines()
    assert "changed: nothing" in lines[2]
    assert sum("identical predictions" in line for line in lines) == len(MODELS)
    assert "tools.compare" in modules.split()
    assert "tensorflow" not in modules.split() and "keras" not in modules.split()


def test_the_commands_run_the_missing_seeds(workspace: Workspace) -> None:
    commands = re.findall("(?m)^  (dvc .*)", compare(workspace, "main"))
    assert commands == [
        "dvc exp run --queue -S train_hidden.units=32 -S train_hidden.seed=2,3",
        "dvc exp run --queue -S train_hidden.seed=2,3",
        "dvc queue start",
    ]
    workspace.run("bash", "-c", commands[0])
    board = workspace.run_module("tools.leaderboard").stdout
    assert board.splitlines()[-1] == "DVC's queue: 2 waiting, 0 running"
    with (workspace.path / "digits/layers.py").open("a") as file:
        file.write("# changed\n")
    commit = workspace.run("git", "rev-parse", "main").stdout[:7]
    there = f"git switch --detach {commit} && {commands[1]} && git switch -"
    assert there in compare(workspace, "main")


def test_settings_are_compared_over_seeds(workspace: Workspace) -> None:
    """Four seeds each of 32 and 64 units; those of seed 1 are main's and better's."""
    metrics = workspace.path / paths.metrics("hidden")
    first = json.loads(metrics.read_text())["test"]["accuracy"]
    narrow, wide = sides = [first, 0.81, 0.82, 0.83], [first, 0.91, 0.93, 0.98]
    for units, sample in ((32, narrow), (64, wide)):
        for seed, accuracy in enumerate(sample[1:], start=2):
            scores = {"accuracy": accuracy}
            metrics.write_text(json.dumps({"validation": scores, "test": scores}))
            run_with(workspace, units, seed)
            workspace.commit()
    expected = scipy.stats.ttest_ind(wide, narrow, equal_var=False)
    low, high = expected.confidence_interval()
    text = " ".join(compare(workspace, "main", "better~6").split())
    old, new = (f"{mean(side):.2%} (std {100 * stdev(side):.2f}, 4 seeds)" for side in sides)
    assert f"over seeds: {old} and {new}, {100 * (mean(wide) - mean(narrow)):+.2f} points" in text
    assert f"(95% interval {100 * low:+.2f} to {100 * high:+.2f}); Welch's t-test: p = " in text
    assert f" p = {expected.pvalue:.2g} verdict, over seeds: no clear difference: equally " in text
    assert "dvc exp run" not in text
    board = workspace.run_module("tools.leaderboard").stdout
    assert board.startswith("Validation accuracy, dataset small, md5 ")
    assert re.search(r"\nhidden +64 .* 4  best .*\nhidden +32 .* 4  no clear difference ", board)


def test_other_seeds_of_the_same_settings(workspace: Workspace) -> None:
    run_with(workspace, units=32, seed=2)
    text = compare(workspace, "main")
    assert "changed: train_hidden.seed 1 -> 2\n" in text
    assert "over seeds: only the seeds differ" in text


def test_files_come_from_the_remote_or_a_line_says_how_to_make_them(workspace: Workspace) -> None:
    for folder in (".dvc/cache", HIDDEN.parent):
        shutil.rmtree(workspace.path / folder)
    assert "+7.33 points" in compare(workspace, "main")
    outs = workspace.lock()["evaluate"]["outs"]
    (linear,) = (out for out in outs if out["path"] == str(paths.predictions("linear")))
    remote = workspace.home / "dvc-storage/digits/files/md5"
    damaged = remote / linear["md5"][:2] / linear["md5"][2:]
    replace(damaged, damaged.read_bytes().replace(b"7,7", b"7,1"))
    said = compare(workspace, "main", status=1)
    assert said == f"error: main: {linear['path']} is damaged in DVC's cache or remote\n"
    damaged.unlink()
    nowhere = f"no {linear['path']} (neither here nor in the DVC remote); to make it:"
    commit = workspace.run("git", "rev-parse", "main").stdout[:7]
    there = f"git switch --detach {commit} && dvc repro && git switch - && dvc checkout"
    assert compare(workspace, "main", status=1) == f"error: main: {nowhere} {there}\n"
    assert compare(workspace, "workspace", status=1) == f"error: workspace: {nowhere} dvc repro\n"


def test_no_statement_on_stale_files(workspace: Workspace) -> None:
    # As DVC's files are those of better, Git's those of main.
    workspace.run("git", "switch", "--quiet", "main")
    for name in ("tools.compare", "tools.report"):
        done = workspace.run_module(name, env={"REV": "better"}, status=1)
        assert done.stderr == f"error: {HIDDEN} {STALE}\n"
    workspace.dvc("checkout", "--quiet")
    assert "-7.33 points" in compare(workspace, "better")


def test_changes_after_the_run_are_named(workspace: Workspace) -> None:
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
    stages = workspace.lock()
    stages["train_hidden"]["outs"][-1]["md5"] = "0" * 32
    write_lock(workspace, stages)
    assert "changed since its run: models/hidden.keras\n" in compare(workspace, "main")


def test_a_merge_conflict_is_called_one(workspace: Workspace) -> None:
    workspace.run("git", "switch", "--quiet", "--create", "other", "main")
    run_with(workspace, units=8, seed=1)
    workspace.commit()
    workspace.run("git", "merge", "better", status=1)
    for name in ("tools.compare", "tools.report", "tools.result"):
        done = workspace.run_module(name, env={"REV": "main"}, status=1)
        assert done.stderr == "error: merge conflict in dvc.lock: see docs/troubleshooting.md\n"
    assert "other" in workspace.run_module("tools.leaderboard").stdout


def test_the_project_in_a_folder_of_a_repository(workspace: Workspace) -> None:
    top = Workspace(workspace.path.parent)
    shutil.move(workspace.path / ".git", top.path)
    top.home = workspace.home
    (top.path / ".gitignore").write_text("home\n")
    top.commit("Move the project into a folder")
    workspace.set_params(**{"train_hidden.units": 8})
    assert "changed since its run: train_hidden.units\n" in compare(workspace, "HEAD")
    assert "error: main: has no dvc.lock: " in compare(workspace, "main", status=1)
    workspace.run_module("tools.report", env={"REV": "HEAD"})
    assert re.search(r"hidden .*64 ", workspace.run_module("tools.leaderboard").stdout)


def test_what_cannot_be_compared_is_named(workspace: Workspace) -> None:
    stages = workspace.lock()
    del stages["train_linear"]
    stages["train_hidden"]["params"]["params.yaml"]["train_hidden"]["units"] = "\x1b[31m64"
    # A data set with other training images, but the same test images.
    write_lock(workspace, stages, **{"data/raw/small.npz": "f" * 32})
    text = " ".join(compare(workspace, "main").split())
    assert " linear: " not in text and " hidden: " in text
    assert "not compared, only in main: linear" in text
    assert "train_hidden.units 32 -> ?[31m64" in text
    write_lock(workspace, stages, **{"data/prepared/test.npz": "f" * 32})
    said = compare(workspace, "main", status=1)
    assert said.startswith("error: main and workspace have other test images, or prepare them in")
    assert "error: REV and REV2 must name revisions: " in compare(workspace, "", status=1)


@pytest.mark.parametrize(
    ("row", "key"),
    [("7,7,nan", "0.confidence"), ("7,77777,0.5", "0.prediction"), ("7.9", "0.label")],
)
def test_invalid_predictions_are_refused(row: str, key: str) -> None:
    content = f"label,prediction,confidence\n{row}\n".encode()
    with pytest.raises(UserError, match=f"^main: linear.csv: {key}: "):
        parse_predictions(content, "main: linear.csv")


def test_the_result(workspace: Workspace) -> None:
    def result(status: int = 0) -> list[str]:
        done = workspace.run_module("tools.result", status=status)
        return (done.stdout + done.stderr).splitlines()

    lines = result()
    names = {"small, test images", "accuracy", "loss", "macro F1", "calibration error"}
    assert {*re.split(" {2,}", lines[0])} >= names
    test = json.loads((workspace.path / paths.metrics("linear")).read_text())["test"]
    assert lines[1].split()[:3] == ["linear", f"{test['accuracy']:.4f}", f"{test['loss']:.4f}"]
    assert any(line.startswith("hidden vs. linear: ") for line in lines)
    assert lines[-1] == "figures: metrics/figures/; to compare: make compare REV=main"
    # Nothing to compare with is left.
    for reference in workspace.run("git", "for-each-ref", "--format=%(refname)").stdout.split():
        if not reference.endswith("/better"):
            workspace.run("git", "update-ref", "-d", reference)
    replace(workspace.path / paths.figure("examples"), b"")
    assert result()[-2:] == [f"{paths.figure('examples')} {STALE}", "figures: metrics/figures/"]
    (workspace.path / paths.DETAILS).write_text("[]")
    assert result(status=1) == [f"error: {paths.DETAILS} {STALE}"]
    # As after `dvc repro train_linear` alone.
    write_lock(workspace, {"train_linear": workspace.lock()["train_linear"]})
    (line,) = result(status=1)
    assert line.startswith("error: workspace: no metrics/details.json (")
    assert line.endswith("; to make it: dvc repro")
