"""The page of `make try` in a real browser that reaches nothing but this machine."""

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import MODELS, Workspace
from tests.photographs import SEVEN, TWO, Points, drawn, file_bytes

SHOWN = [*MODELS, *(f"{name}, HEAD" for name in MODELS)]
# The browser's data while a file is dropped or pasted.
DATA = """bytes => { const data = new DataTransfer();
data.items.add(new File([new Uint8Array(bytes)], "two")); return data; }"""
PASTE = "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))"


@pytest.fixture(scope="module")
def address(mnist_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served, with the models of HEAD beside those of the workspace."""
    command = ("env", "REV=HEAD", "SSH_CONNECTION=there", sys.executable, "-m", "handwriting.page")
    with mnist_pipeline.copy(tmp_path_factory.mktemp("page")).start(*command) as server:
        assert server.stdout and server.stderr
        printed = server.stdout.readline() + server.stdout.readline()
        match = re.search(r"ssh -L (\d+):127.0.0.1:\1 HOST\nOpen (http://127.*:\1/.+/) ", printed)
        assert match, printed
        yield match[2]
        server.send_signal(signal.SIGINT)
        assert (server.wait(), server.stderr.read()) == (128 + signal.SIGINT, "interrupted\n")


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(address)
    expect(page.locator("#keep button")).to_have_count(10)
    yield page
    page.context.close()


def draw(page: Page, points: Points) -> None:
    box = page.locator("canvas").bounding_box()
    assert box
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=5)
        if not number:
            page.mouse.down()
    page.mouse.up()


def sees(page: Page, digit: str) -> None:
    expect(page.locator("thead strong")).to_have_text([digit] * len(SHOWN))


def test_draw_save_and_undo(page: Page) -> None:
    draw(page, SEVEN)
    sees(page, "7")
    expect(page.locator("thead th")).to_contain_text(SHOWN)
    expect(page.get_by_role("status").first).to_contain_text(f"{MODELS[0]} 7 (")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.get_by_role("button", name="7", exact=True).press("Enter")
    expect(page.get_by_text("Saved: data/own/7/")).to_be_visible()
    expect(page.locator("body")).to_contain_text("dvc add data/own")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.get_by_text("Removed.")).to_be_visible()


def test_a_refusal_is_a_message_and_clear_starts_again(page: Page) -> None:
    draw(page, [(0.2, 0.5), (0.8, 0.5)])
    expect(page.get_by_text("No digit found")).to_be_visible()
    expect(page.get_by_role("button", name="7", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Clear").click()
    draw(page, TWO)
    sees(page, "2")


def test_pictures_are_loaded_dropped_and_pasted(page: Page, tmp_path: Path) -> None:
    (tmp_path / "two.jpg").write_bytes(file_bytes(drawn(TWO), "JPEG"))
    page.get_by_label("Load a picture").set_input_files(tmp_path / "two.jpg")
    sees(page, "2")
    data = page.evaluate_handle(DATA, list(file_bytes(drawn(SEVEN))))
    page.locator("canvas").dispatch_event("drop", {"dataTransfer": data})
    sees(page, "7")
    page.get_by_role("button", name="Clear").click()
    page.evaluate(PASTE, data)
    sees(page, "7")
