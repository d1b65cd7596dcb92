"""The report and DVC's plots, opened in a browser that reaches no network."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import MODELS, ROOT, Workspace

CHARTS = (ROOT / "dvc.yaml").read_text().count("title: ")
# A name of `wide`: nothing but text.
BRANCH = "<b>&</script>"
Browse = Callable[..., Page]


@pytest.fixture
def browse(browser: Browser) -> Browse:
    """Opens a page, waits for its charts, and fails if its scripts report anything."""

    def open_page(path: Path, charts: int = CHARTS, width: int = 1280) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900})
        # A busy machine may be slow; that is no failure.
        page.set_default_timeout(0)
        reported: list[str] = []
        page.on("console", lambda message: reported.append(message.text))
        page.on("pageerror", lambda error: reported.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_function(f"document.querySelectorAll('svg.marks').length >= {charts}")
        assert page.locator("svg.marks").count() == charts
        assert reported == []
        return page

    return open_page


def make_report(workspace: Workspace, revision: str) -> Path:
    workspace.run_module("revisions.report", env={"REV": revision})
    return workspace.path / "report/index.html"


def test_two_branches(small: Workspace, browse: Browse) -> None:
    small.run("git", "branch", BRANCH, "wide")
    path = make_report(small, BRANCH)
    page = browse(path)
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    assert page.inner_text("h1") == f"{BRANCH} and workspace"

    # As in `make compare`.
    said = small.run_module("revisions.compare", env={"REV": BRANCH}).stdout
    verdict = page.inner_text(".verdict")
    assert verdict.split()[:3] == ["300", "validation", "images."]
    assert verdict.split()[3:] == said.split("\n\n", 1)[1].split()
    words = " ".join(page.inner_text("body").split())
    first, second = (re.split(" {2,}", line)[1] for line in said.splitlines()[:2])
    assert f"commit {first} {second} data set small small" in words
    # All parameters are there; the changed one is marked.
    assert "train_hidden.epochs 2 2" in words
    changed = page.locator("tr.changed").all_inner_texts()
    assert "train_hidden.units\t48\t32\t-16" in changed
    assert not any("linear" in line for line in changed)
    assert any(line.startswith("hidden test macro_f1") for line in changed)

    assert page.locator("h3", has_text="confusion_linear.png (identical)").count() == 1
    assert page.locator("h3", has_text="confusion_hidden.png (identical)").count() == 0
    shown = page.locator(".digits figure")
    assert 0 < shown.count() <= 24
    for caption in shown.all_inner_texts():
        label, old, new = re.findall(r": (?:label )?(\d)", caption)
        assert old != new
        assert (f"{BRANCH}: {old} ✗" in caption) == (old != label)
        assert (f"workspace: {new} ✗" in caption) == (new != label)

    # The same order of revisions everywhere.
    order = [BRANCH, "workspace"]
    groups = [table.locator("th") for table in page.locator("tr:has(th)").all()]
    legends = page.locator("svg .role-legend:has-text('workspace')").all()
    for group in groups + [legend.locator("text") for legend in legends]:
        assert [text for text in group.all_text_contents() if text in order] == order
    figures = [*small.path.glob("metrics/figures/*.png")]
    assert page.locator(".pair figcaption").all_inner_texts() == order * len(figures)

    narrow = browse(path, width=400)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 400
    # No column of a table is cut off.
    assert narrow.locator(".wide").evaluate_all(
        "tables => tables.every(table => table.scrollWidth <= table.clientWidth)"
    )


def test_without_the_files_of_dvc(small: Workspace, browse: Browse, tmp_path: Path) -> None:
    clone = small.clone(tmp_path / "clone")
    page = browse(make_report(clone, "origin/wide"), charts=CHARTS - 1)
    assert "origin/wide: no metrics/figures" in page.inner_text(".warning")
    assert "identical" not in page.inner_text(".verdict")
    assert "train_hidden.units" in page.inner_text("tr.changed >> nth=0")
    assert page.locator("img").count() == 0


def test_dvc_plots_diff_of_a_single_epoch(small: Workspace, browse: Browse) -> None:
    # As `make setup` does.
    small.run_module("revisions.charts")
    values = {name: (1 + number) / 16 for number, name in enumerate(MODELS)}
    for name, value in values.items():
        (small.path / f"metrics/history/{name}.csv").write_text(
            f"epoch,loss,accuracy,val_loss,val_accuracy\n1,{value},{value},,\n"
        )
    small.dvc("plots", "diff", "wide")
    page = browse(small.path / "dvc_plots/index.html")
    # Wide's two epochs, and nothing between them.
    axes = page.locator("svg [aria-label^=\"X-axis titled 'epoch'\"] .role-axis-label")
    assert set(axes.all_text_contents()) == {"12"}
    labels = page.locator("svg [aria-label*='images:']").evaluate_all(
        "marks => marks.map(mark => mark.getAttribute('aria-label'))"
    )
    # Each model's value, and no 0 for a missing one.
    points = {float(value) for label in labels for value in re.findall(r"value: ([\d.]+)", label)}
    assert points > {*values.values()} and 0 not in points
