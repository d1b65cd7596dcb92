"""docs/adapting.md: every block applies, and the pipeline runs with it."""

import re
from importlib.util import find_spec
from string import ascii_uppercase

import numpy as np
import pytest

from tests.conftest import ROOT, STAGES, Workspace

SECTIONS = (ROOT / "docs/adapting.md").read_text("utf-8").split("\n## ")[1:]
DIFFS = {
    section.splitlines()[0]: re.findall(r"```diff\n(.*?)```", section, re.DOTALL)
    for section in SECTIONS
}
# The stages that each change runs again, and a file that then holds a certain text.
HIDDEN = ["train_hidden", "evaluate"]
EXPECTED = {
    "A third model": (["train_conv", "evaluate"], "metrics/comparison.json", '"conv"'),
    "A model of another library": (["train_logistic", "evaluate"], "metrics/logistic.json", ""),
    "Augmentation": (HIDDEN, "metrics/hidden.json", ""),
    "Batch normalization and dropout": (HIDDEN, "dvc.lock", "dropout: 0.2"),
    # Two epochs are too few to stop, so the model is the same.
    "Early stopping": (["train_hidden"], "metrics/history/hidden.csv", "\n2,"),
    "A schedule": (STAGES[1:], "dvc.lock", "stages"),
    "Letters or photographs instead of digits": (STAGES, "metrics/per_label/hidden.csv", "\nZ,"),
    "A metric": (["evaluate"], "metrics/hidden.json", "top2_accuracy"),
    "A figure": (["evaluate"], "metrics/figures/confidence.png", ""),
    "A parameter of all models": (STAGES[1:], "dvc.lock", "weight_decay: 0.004"),
    "A stage of your own": (["seeds"], "metrics/seeds.json", '"deviation"'),
}
NEEDS_PACKAGE = "A model of another library"


def add_letters(workspace: Workspace) -> None:
    """A data set of 26 labels."""
    raw = workspace.path / "data/raw"
    arrays = dict(np.load(raw / "small.npz"))
    for name in ("y_train", "y_test"):
        arrays[name] = (np.arange(len(arrays[name])) % 26).astype(np.uint8)
    np.savez(raw / "letters.npz", names=np.array([*ascii_uppercase]), **arrays)


def test_every_section_with_a_block_is_tried() -> None:
    assert {section for section, diffs in DIFFS.items() if diffs} == EXPECTED.keys()


def apply(workspace: Workspace, section: str) -> None:
    (diff,) = DIFFS[section]
    (workspace.path / "change.diff").write_text(diff.replace("dataset: mnist", "dataset: small"))
    if not workspace.run("git", "apply", "--check", "-R", "change.diff", status=None).returncode:
        pytest.skip("this repository has the change")
    workspace.run("git", "apply", "change.diff")


@pytest.mark.parametrize("section", EXPECTED)
def test_the_block_applies_and_the_pipeline_runs(small: Workspace, section: str) -> None:
    if section == NEEDS_PACKAGE:
        pytest.importorskip("sklearn")
    add_letters(small)
    apply(small, section)
    ran, path, text = EXPECTED[section]
    assert small.repro() == ran
    assert text in (small.path / path).read_text("latin-1")
    done = small.run_module("revisions.compare", env={"REV": "HEAD"}, status=None)
    assert " images" in done.stdout + done.stderr


def test_the_blocks_apply_one_after_the_other(small: Workspace) -> None:
    add_letters(small)
    skipped = set() if find_spec("sklearn") else {NEEDS_PACKAGE}
    for section in EXPECTED:
        if section not in skipped:
            apply(small, section)
    assert {*STAGES, "train_conv", "seeds"} <= {*small.repro()}
