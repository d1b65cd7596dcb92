"""The page of `make try` in a real browser that reaches nothing but this machine."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Workspace
from tests.photographs import SEVEN, TWO, drawn, file_bytes
from tests.servers import free_port

MODELS = ["linear", "hidden", "linear, HEAD", "hidden, HEAD"]


@pytest.fixture(scope="module")
def workspace(mnist_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return mnist_pipeline.copy(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def address(workspace: Workspace) -> Iterator[str]:
    """Where the page is served, with the models of HEAD beside those of the workspace."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "handwriting.page"],
        cwd=workspace.path,
        env=workspace.environment | {"REV": "HEAD", "GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert found
        yield found[0]
        server.terminate()


class Visitor:
    """Somebody with a browser window of their own."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page: Page = browser.new_context().new_page()
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.answer = self.page.locator(".answer").last

    def draw(self, points: Sequence[tuple[float, float]], left: float = 0.2) -> None:
        """A stroke through the points, in a square of 0.6 of the canvas."""
        # While the page is loading, something invisible may lie over the canvas: hover() waits.
        self.page.locator("canvas").hover()
        box = self.page.locator("canvas").bounding_box()
        assert box
        at = [
            (box["x"] + (left + 0.6 * x) * box["width"], box["y"] + (0.2 + 0.6 * y) * box["height"])
            for x, y in points
        ]
        self.page.mouse.move(*at[0])
        self.page.mouse.down()
        for place in at[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()

    def load(self, path: Path) -> None:
        self.page.get_by_role("tab", name="Load or photograph").click()
        self.page.locator("input[type=file]").set_input_files(path)

    def sees(self, digit: int) -> None:
        expect(self.answer.locator(".digit")).to_have_text([str(digit)] * len(MODELS))

    def keep(self, digit: int) -> None:
        self.page.get_by_role("button", name=str(digit), exact=True).click()


@pytest.fixture
def visitor(browser: Browser, address: str) -> Iterator[Visitor]:
    yield Visitor(browser, address)
    for context in browser.contexts:
        context.close()


def test_draw_see_keep(visitor: Visitor, workspace: Workspace) -> None:
    visitor.draw(SEVEN)
    visitor.sees(7)
    expect(visitor.answer.locator("thead th[scope=col]")).to_contain_text(MODELS)
    assert visitor.answer.locator("tbody tr").count() == 10
    assert visitor.answer.locator("img").evaluate("image => image.naturalWidth") == 28

    visitor.keep(7)
    kept = visitor.page.get_by_text("Kept: data/own/7/")
    expect(kept).to_be_visible()
    path = workspace.path / kept.inner_text().removeprefix("Kept: ")
    assert path.is_file()
    assert all(re.match(r"http://127\.0\.0\.1:|data:|blob:", url) for url in visitor.requests)


def test_a_stroke_more_is_another_answer_and_clear_starts_again(visitor: Visitor) -> None:
    # Without its stroke, a dash.
    visitor.draw([(0, 0.5), (1, 0.5)])
    expect(visitor.answer).to_have_text(re.compile("^No digit found;"))
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.answer).to_have_text(re.compile("^Draw one digit"))
    visitor.keep(1)
    expect(visitor.page.get_by_text("There is no digit to keep yet.")).to_be_visible()
    visitor.draw(TWO)
    visitor.sees(2)


def test_two_digits_are_refused(visitor: Visitor) -> None:
    for left in (0.0, 0.6):
        visitor.draw([(0.1 + x * 0.4, y) for x, y in SEVEN], left)
    expect(visitor.answer).to_have_text(re.compile("^More than one digit"))


def test_pictures_are_loaded(visitor: Visitor, tmp_path: Path) -> None:
    """A photograph is read; what is none is refused, and the page goes on."""
    (tmp_path / "two.jpg").write_bytes(file_bytes(drawn(TWO), "JPEG"))
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_text("")
    visitor.load(tmp_path / "text.png")
    expect(visitor.answer).to_have_text("Not a PNG, JPEG or WebP picture.")
    other = Visitor(visitor.page.context.browser, visitor.page.url)  # type: ignore[arg-type]
    other.load(tmp_path / "two.jpg")
    other.sees(2)


def test_two_people_at_once(visitor: Visitor, browser: Browser, workspace: Workspace) -> None:
    """Each sees and keeps what they have drawn."""
    other = Visitor(browser, visitor.page.url)
    visitor.draw(SEVEN)
    other.draw(TWO)
    visitor.sees(7)
    other.sees(2)
    visitor.keep(7)
    other.keep(2)
    for person, digit in ((visitor, 7), (other, 2)):
        kept = person.page.get_by_text(f"Kept: data/own/{digit}/")
        expect(kept).to_be_visible()
        assert (workspace.path / kept.inner_text().removeprefix("Kept: ")).is_file()
