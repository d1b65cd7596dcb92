"""`make runs`, opened in a browser that reaches no network."""

import shlex

import pytest

from revisions.runs_page import commits_site
from tests.conftest import MODELS, Browse, Workspace
from tests.pipeline.test_compare import add_runs

# Text, not markup.
NAME = "<b>&</script>"
# The last two are those of the first commit, on MNIST, where no parameter differs; a model alone
# has none there.
CHARTS = 5 if len(MODELS) > 1 else 3


def test_all_runs_on_one_page(small: Workspace, browse: Browse) -> None:
    small.run("git", "switch", "--quiet", "--create", NAME)
    add_runs(small, 32, [0.71, 0.72, 0.73, 0.74], at_hand=False)
    add_runs(small, 96, [0.91, 0.92, 0.93, 0.94], at_hand=False)
    small.run("git", "remote", "add", "origin", "git@github.com:a/b.git")
    small.make("runs")
    path = small.path / "runs/index.html"
    page = browse(path, CHARTS)
    rows = page.locator("section >> nth=0").locator("tbody[id] > tr:first-child:visible")
    assert rows.first.locator("td").all_inner_texts()[1:3] == ["hidden", "96"]
    assert [row.split("\t")[-2] for row in rows.all_inner_texts()][:2] == ["best", "worse"]

    # Two rows; the command is safe to copy.
    for box in rows.locator("input").all()[:2]:
        box.check()
    command = shlex.split(page.inner_text(".command >> nth=0"))
    assert command[:2] == ["make", "compare"] and f"REV={NAME}" in command
    small.run("git", "restore", ".")
    said = small.make(*command[1:], status=None)
    assert NAME in said.stdout + said.stderr and "no branch" not in said.stderr

    # By keyboard: sort downwards, filter, unfold.
    header = page.get_by_role("columnheader", name="units")
    for order in ("ascending", "descending"):
        header.get_by_role("button").press("Enter")
        assert header.get_attribute("aria-sort") == order
    units = [row.split("\t")[2] for row in rows.all_inner_texts()]
    assert units == ["96", "48", "32", *["-"] * (len(MODELS) - 1)]
    page.get_by_role("searchbox").fill(NAME.upper())
    assert rows.count() == 1
    rows.get_by_role("button").press("Space")
    runs = page.locator("table table:visible tr").all_inner_texts()
    assert len(runs) == 5 and runs[0].startswith("run\tcommit\tdate\tauthor\tseed\t")
    commit = small.run("git", "rev-parse", "wide").stdout.strip()
    assert page.locator(f"a[href='https://github.com/a/b/commit/{commit}']").count() == 1

    # The address has the view.
    again = browse(path, charts=3, fragment=page.evaluate("location.hash"))
    assert again.inner_text("section") == page.inner_text("section")

    mark = again.locator(".chart svg .mark-symbol.role-mark path").first
    mark.scroll_into_view_if_needed()
    mark.hover()
    again.locator("tbody.hot").wait_for()

    narrow = browse(path, CHARTS, width=400)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize(
    ("remote", "site"),
    [
        ("https://me:secret@github.com/a/b.git", "https://github.com/a/b/commit/"),
        ("ssh://git@gitlab.com:22/a/b/c", "https://gitlab.com/a/b/c/-/commit/"),
        ("git@bitbucket.org:a/b.git", "https://bitbucket.org/a/b/commits/"),
        ("https://github.com.example.org/a/b", ""),
        ('https://github.com/a"onclick="b', ""),
    ],
)
def test_links_to_known_hosts(remote: str, site: str) -> None:
    assert commits_site(remote) == site
