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
    rows = dict(re.findall(r"^\| (\w+): [^|]*\|[^|]*\|(.*) \|$", README, re.MULTILINE))
    for entry in json.loads(committed(str(paths.DETAILS))):
        if entry["split"] == "test":
            columns = ("accuracy", "loss", "macro_f1", "calibration_error")
            expected = [f"{entry[column]:.4f}" for column in columns]
            model, cells = entry["model"], rows.get(entry["model"], "")
            assert [cell.strip() for cell in cells.split("|")] == expected, f"README.md: {model}"


def test_the_comparison_of_the_models() -> None:
    for entry in json.loads(committed(str(paths.COMPARISON))):
        keys = ("accuracy_gain", "accuracy_gain_ci95_low", "accuracy_gain_ci95_high")
        gain, low, high = (f"{100 * entry[key]:.2f}" for key in keys)
        discordant = entry["only_model_right"] + entry["only_baseline_right"]
        for sentence in (
            f"is {gain} points more accurate (95% interval {low} to {high})",
            f"Of the {discordant} images on which only one of the two is correct",
            f"it is correct on {entry['only_model_right']}.",
        ):
            assert sentence in " ".join(README.split()), "README.md: the numbers of the models"


def test_the_picture_of_the_pipeline(checkout: Checkout) -> None:
    drawn = checkout().dvc("dag", "--mermaid").stdout.split()
    (picture,) = re.findall(r"```mermaid\n(.*?)```", README, re.DOTALL)
    assert picture.split() == drawn, "README.md: replace the picture by that of dvc dag --mermaid"


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
        if page.name == "CHANGELOG.md":
            continue
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
        assert named <= targets, page
