"""The README's figures are the committed ones."""

import json
import re

import pytest

from stages.lib import paths
from tests.conftest import ROOT, committed

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", paths.MODELS)
def test_the_table_of_results(name: str) -> None:
    (row,) = re.findall(rf"^\| {name}: .*$", README, re.MULTILINE)
    shown = [float(cell) for cell in row.strip("| ").split("|")[2:]]
    test = json.loads(committed(str(paths.scores(name))))["test"]
    expected = [test[key] for key in ("accuracy", "loss", "macro_f1", "calibration_error")]
    assert shown == [round(value, 4) for value in expected]


def test_the_comparison() -> None:
    comparison = json.loads(committed(str(paths.COMPARISON)))
    gain, low, high = (
        f"{100 * comparison[key]:.2f}"
        for key in ("accuracy_gain", "accuracy_gain_ci95_low", "accuracy_gain_ci95_high")
    )
    text = " ".join(README.split())
    assert f"{gain} percentage points more (95 % interval {low} to {high})" in text
    only_hidden = comparison["only_hidden_right"]
    discordant = only_hidden + comparison["only_linear_right"]
    assert f"Of the {discordant} images" in text
    assert f"it has {only_hidden};" in text
    assert f"a probability of {comparison['mcnemar_p']:.0e}" in text


def test_every_file_in_the_layout_exists() -> None:
    layout = README.split("## Layout")[1].split("```")[1]
    made_by_the_pipeline = {"data/prepared/", "models/"}
    for line in layout.splitlines():
        name = line.split(" ")[0]
        if name and name not in made_by_the_pipeline:
            assert list(ROOT.glob(name)), name


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named <= targets
    assert named
