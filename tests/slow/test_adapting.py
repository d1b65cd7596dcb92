"""docs/adapting.md: every block applies, and the pipeline runs with it."""

import re
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
EXPECTED = {
    "A third model": (["train_conv", "evaluate"], "metrics/comparison.json", '"conv"'),
    "Dropout": (["train_hidden", "evaluate"], "dvc.lock", "dropout: 0.2"),
    "Letters instead of digits": (STAGES, "metrics/per_label/hidden.csv", "\nZ,"),
    "A metric": (["evaluate"], "metrics/linear.json", "top2_accuracy"),
    "A figure": (["evaluate"], "metrics/figures/confidence.png", ""),
    "Another optimizer": (STAGES[1:], "dvc.lock", "stages"),
    "A parameter of all models": (STAGES[1:], "dvc.lock", "weight_decay: 0.004"),
}


def add_letters(workspace: Workspace) -> None:
    """A data set of 26 labels."""
    raw = workspace.path / "data/raw"
    arrays = dict(np.load(raw / "small.npz"))
    for name in ("y_train", "y_test"):
        arrays[name] = (np.arange(len(arrays[name])) % 26).astype(np.uint8)
    np.savez(raw / "letters.npz", names=np.array([*ascii_uppercase]), **arrays)


def test_every_section_with_a_block_is_tried() -> None:
    assert {section for section, diffs in DIFFS.items() if diffs} == EXPECTED.keys()


@pytest.mark.parametrize("section", EXPECTED)
def test_the_block_applies_and_the_pipeline_runs(small: Workspace, section: str) -> None:
    (diff,) = DIFFS[section]
    add_letters(small)
    (small.path / "change.diff").write_text(diff.replace("dataset: mnist", "dataset: small"))
    if not small.run("git", "apply", "--check", "-R", "change.diff", status=None).returncode:
        pytest.skip("this repository has the change")
    small.run("git", "apply", "change.diff")
    ran, path, text = EXPECTED[section]
    assert small.repro() == ran
    assert text in (small.path / path).read_text("latin-1")
    done = small.run_module("revisions.compare", env={"REV": "HEAD"}, status=None)
    assert "test images" in done.stdout + done.stderr
