"""The report and DVC's plots, opened in a browser that reaches no network."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Workspace

CHARTS = 3
# DVC's own page has the training loss of each model a second time.
HISTORIES = 2
PICTURES = 7
LARGEST_PAGE_BYTES = 5_000_000


class Page:
    """A page as Chromium leaves it after running its scripts: its HTML, its console messages."""

    def __init__(self, path: Path, profile: Path) -> None:
        done = subprocess.run(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--proxy-server=127.0.0.1:9",
                f"--user-data-dir={profile}",
                "--enable-logging=stderr",
                "--virtual-time-budget=10000",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        # Without the scripts: what Vega's holds looks like markup here and there.
        self.html = re.sub(r"<script\b.*?</script>", "", done.stdout, flags=re.DOTALL)
        self.console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]

    @property
    def charts(self) -> int:
        """How many charts Vega has drawn."""
        return len(re.findall(r'<(?:svg|canvas)[^>]*class="marks"', self.html))

    @property
    def pictures(self) -> list[str]:
        """Where the page's pictures come from."""
        return re.findall(r'<img [^>]*src="([^"]*)"', self.html)

    @property
    def text(self) -> str:
        """What a reader sees, without the charts' labels."""
        body = self.html[self.html.index("<body>") :]
        visible = re.sub(r"<svg\b.*?</svg>", "", body, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", visible)).split())


@pytest.fixture
def browse(tmp_path: Path) -> type[Page]:
    if not shutil.which("chromium"):
        pytest.skip("no chromium here to open the page with")
    return Page


@pytest.fixture(scope="module")
def branched(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A branch whose hidden layer has other units than main's, rerun and committed."""
    workspace = small_pipeline.copy(tmp_path_factory.mktemp("branched"))
    workspace.run("git", "switch", "--quiet", "--create", "wide")
    workspace.set_params(**{"train_hidden.units": 64})
    assert workspace.repro() == ["train_hidden", "evaluate"]
    workspace.commit("64 units")
    return workspace


def make_report(workspace: Workspace, *arguments: str) -> Path:
    workspace.run("python", "-m", "tools.report", *arguments)
    return workspace.path / "report/index.html"


def test_report_of_two_branches(branched: Workspace, browse: type[Page], tmp_path: Path) -> None:
    path = make_report(branched, "main")
    page = browse(path, tmp_path)
    assert page.charts == CHARTS
    assert page.console == []
    assert "train_hidden.units 32 64 +32" in page.text
    assert "test.accuracy" in page.text
    assert len(page.pictures) == 2 * PICTURES
    assert all(source.startswith("data:image/png;base64,") for source in page.pictures)
    assert "confusion_linear.png (identical)" in page.text
    assert "confusion_hidden.png (identical)" not in page.text
    # Both revisions are in the charts, not only in the tables.
    assert all(f">{name}</text>" in page.html for name in ("main", "workspace"))
    assert path.stat().st_size < LARGEST_PAGE_BYTES
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]


def test_report_says_that_nothing_differs(
    small: Workspace, browse: type[Page], tmp_path: Path
) -> None:
    page = browse(make_report(small), tmp_path)
    assert "Nothing differs" in page.text
    assert "No parameter differs." in page.text
    assert page.text.count("test.accuracy") == 2
    assert page.text.count("(identical)") == PICTURES
    assert (page.charts, page.console) == (CHARTS, [])


def test_report_without_the_files_that_dvc_tracks(
    branched: Workspace, browse: type[Page], tmp_path: Path
) -> None:
    clone = Workspace(tmp_path / "clone")
    branched.run("git", "clone", "--quiet", branched.path, clone.path)
    page = browse(make_report(clone, "origin/main"), tmp_path)
    assert "train_hidden.units 32 64 +32" in page.text
    assert "origin/main: metrics/figures/confusion_hidden.png" in page.text
    assert "dvc pull" in page.text
    # The history of both revisions is in Git.
    assert (page.charts, page.pictures, page.console) == (CHARTS - 1, [], [])


def test_report_escapes_what_it_shows(small: Workspace, browse: type[Page], tmp_path: Path) -> None:
    branch = "<img/src=x><script>console.log(1)</script>&"
    small.run("git", "branch", branch)
    page = browse(make_report(small, branch), tmp_path)
    assert f"{branch} against the workspace" in page.text
    assert len(page.pictures) == 2 * PICTURES
    assert (page.charts, page.console) == (CHARTS, [])


def test_unknown_revision(small: Workspace) -> None:
    done = small.run("python", "-m", "tools.report", "nowhere", status=1)
    assert done.stderr == "error: unknown Git revision 'nowhere'\n"
    assert not (small.path / "report").exists()


def test_charts_of_a_single_epoch_without_validation_images(
    small: Workspace, browse: type[Page], tmp_path: Path
) -> None:
    for name, score in (("linear", 0.25), ("hidden", 0.75)):
        (small.path / f"metrics/history/{name}.csv").write_text(
            f"epoch,loss,accuracy,val_loss,val_accuracy\n1,{score},{score},,\n"
        )
    small.commit("One epoch")
    page = browse(make_report(small), tmp_path)
    assert (page.charts, page.console) == (CHARTS, [])
    # Each model's score, and none at 0 for what is not there.
    dots = re.findall(
        r'aria-label="epoch: 1; \w[^:]*: ([\d.]+); rev: \w+; images: (\w+)', page.html
    )
    assert set(dots) == {("0.25", "training"), ("0.75", "training")}
    # The axis tells the score.
    assert ">0.25</text>" in page.html


@pytest.mark.parametrize("command", [["show"], ["diff", "main"]])
def test_dvc_plots(
    branched: Workspace, browse: type[Page], tmp_path: Path, command: list[str]
) -> None:
    branched.dvc("plots", *command)
    page = browse(branched.path / "dvc_plots/index.html", tmp_path)
    assert (page.charts, page.console) == (CHARTS + HISTORIES, [])
    revisions = 2 if "diff" in command else 1
    assert len(page.pictures) == revisions * PICTURES
    assert all((branched.path / "dvc_plots" / source).is_file() for source in page.pictures)
