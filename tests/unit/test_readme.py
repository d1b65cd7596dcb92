"""The README and docs/ agree with the committed results, and their links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

from digits.plumbing import paths
from tests.conftest import ROOT, Checkout, committed

README = (ROOT / "README.md").read_text("utf-8")
PAGES = [*ROOT.glob("*.md"), ROOT / "data/raw/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_results() -> None:
    details = json.loads(committed(str(paths.DETAILS)))
    scores = {entry["model"]: entry for entry in details if entry["split"] == "test"}
    rows = re.findall(r"^\| (\w+): (.*) \|$", README, re.MULTILINE)
    assert [name for name, _ in rows] == ["linear", "hidden"]
    for name, row in rows:
        columns = ("accuracy", "loss", "macro_f1", "calibration_error")
        expected = [round(scores[name][column], 4) for column in columns]
        assert [float(cell) for cell in row.split("|")[2:]] == expected


def test_the_comparison_of_the_models() -> None:
    compared = json.loads(committed(str(paths.COMPARISON)))
    (hidden,) = (entry for entry in compared if entry["model"] == "hidden")
    keys = ("accuracy_gain", "accuracy_gain_ci95_low", "accuracy_gain_ci95_high")
    gain, low, high = (f"{100 * hidden[key]:.2f}" for key in keys)
    discordant = hidden["only_model_right"] + hidden["only_baseline_right"]
    text = " ".join(README.split())
    assert f"is {gain} points more accurate (95% interval {low} to {high})" in text
    assert f"Of the {discordant} images on which only one of the two is correct" in text
    assert f"it is correct on {hidden['only_model_right']}." in text


def test_the_picture_of_the_pipeline(checkout: Checkout) -> None:
    drawn = checkout().dvc("dag", "--mermaid").stdout
    assert drawn.split() == README.split("```mermaid\n")[1].split("```")[0].split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        # Elsewhere, or GitHub's pages about the repository.
        if "://" in target or target.startswith("../../actions"):
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}
            assert heading in anchors, target


def test_everything_in_the_layout_exists() -> None:
    layout = README.split("## Layout")[1].split("```")[1]
    names = {line.split()[0] for line in layout.strip().splitlines()}
    assert len(names) > 10
    # The pipeline makes the models.
    assert [name for name in names - {"models/"} if not (ROOT / name).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
        assert named <= targets, page
