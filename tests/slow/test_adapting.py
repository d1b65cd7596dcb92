"""docs/adapting.md: every block applies, and the pipeline runs with it."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from digits import formats
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


def letters() -> bytes:
    """A data set with 26 labels: an image is one bar, at the label's place."""
    generator = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    for part, count in (("train", 1500), ("test", 300)):
        labels = np.arange(count) % 26
        images = generator.integers(0, 60, (count, 28, 28))
        images[np.arange(count), labels] = 255
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels.astype(np.uint8)}
    return formats.array_bytes(arrays | {"names": np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))})


def test_every_section_with_a_block_is_tried() -> None:
    assert {section for section, diffs in DIFFS.items() if diffs} == EXPECTED.keys()


@pytest.mark.parametrize("section", EXPECTED)
def test_the_block_applies_and_the_pipeline_runs(small: Workspace, section: str) -> None:
    (diff,) = DIFFS[section]
    Path(small.path / "data/raw/letters.npz").write_bytes(letters())
    Path(small.path / "change.diff").write_text(diff.replace("dataset: mnist", "dataset: small"))
    if not small.run("git", "apply", "--check", "-R", "change.diff", status=None).returncode:
        pytest.skip("this repository has the change")
    small.run("git", "apply", "change.diff")
    ran, path, text = EXPECTED[section]
    assert small.repro() == ran
    assert text in (small.path / path).read_text("latin-1")
    small.run(sys.executable, "-m", "tools.compare", env={"REV": "HEAD"}, status=None)
