"""The report and DVC's plots, opened in a browser that reaches no network."""

import re
from pathlib import Path

from revisions.report import _few_colors
from tests.conftest import CHARTS, MODELS, Browse, Workspace

# A name of `wide`: nothing but text.
BRANCH = "<b>&</script>"
OTHERS = [name for name in MODELS if name != "hidden"]


def make_report(workspace: Workspace, revision: str) -> Path:
    workspace.run_module("revisions.report", env={"REV": revision})
    return workspace.path / "report/index.html"


def test_two_branches(small: Workspace, browse: Browse) -> None:
    small.run("git", "branch", BRANCH, "wide")
    path = make_report(small, BRANCH)
    # The curves of all other models are the same.
    page = browse(path, CHARTS - len(OTHERS))
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
    # What has changed comes first; the rest is folded.
    changed = page.locator(".changed tr").all_inner_texts()
    assert "train_hidden.units\t48\t32\t-16" in changed
    assert not any(name in line for line in changed for name in OTHERS)
    assert any(re.match(r"hidden test macro F1(\t[-+]?0\.\d{4}){3}$", line) for line in changed)
    assert "train_hidden.epochs" not in words
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("svg.marks").nth(CHARTS - 1).wait_for()
    assert "train_hidden.epochs 2 2" in " ".join(page.inner_text("body").split())
    for name in OTHERS:
        assert page.locator("summary", has_text=f"confusion_{name}.png: identical").count() == 1
    assert page.locator("h3", has_text="confusion_hidden.png").count() == 1
    for axis in page.locator("svg .role-axis:has(.role-axis-title):not([aria-label*=label])").all():
        assert axis.locator(".role-axis-label text").count() <= 8
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
    pairs = page.locator(".pair")
    assert pairs.locator("figcaption").all_inner_texts() == order * pairs.count()

    narrow = browse(path, CHARTS - len(OTHERS), width=400)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 400
    # No column of a table is cut off.
    assert narrow.locator(".wide").evaluate_all(
        "tables => tables.every(table => table.scrollWidth <= table.clientWidth)"
    )


def test_a_figure_that_cannot_be_read_stays_as_it_is() -> None:
    assert _few_colors(b"no picture") == b"no picture"


def test_without_the_files_of_dvc(small: Workspace, browse: Browse, tmp_path: Path) -> None:
    clone = small.clone(tmp_path / "clone")
    page = browse(make_report(clone, "origin/wide"), CHARTS - 1 - len(OTHERS))
    assert "origin/wide: no metrics/figures" in page.inner_text(".warning")
    assert "identical" not in page.inner_text(".verdict")
    assert "train_hidden.units" in page.inner_text(".changed >> nth=0")
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
    page = browse(small.path / "dvc_plots/index.html", CHARTS)
    # Wide's two epochs, and nothing between them.
    axes = page.locator("svg [aria-label^=\"X-axis titled 'epoch'\"] .role-axis-label")
    assert set(axes.all_text_contents()) == {"12"}
    labels = page.locator("svg [aria-label*='images:']").evaluate_all(
        "marks => marks.map(mark => mark.getAttribute('aria-label'))"
    )
    # Each model's value, and no 0 for a missing one.
    points = {float(value) for label in labels for value in re.findall(r"value: ([\d.]+)", label)}
    assert points > {*values.values()} and 0 not in points
