"""Pictures: same numbers, same bytes; what is wrong is marked."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from stages.lib import figures

RNG = np.random.default_rng(0)
IMAGES = RNG.random((30, 784), np.float32)
LABELS = RNG.integers(0, 10, 30).astype(np.uint8)
PROBABILITIES = RNG.dirichlet(np.ones(10), 30)
PREDICTED = {"linear": PROBABILITIES.argmax(axis=1), "hidden": LABELS}

DRAW: dict[str, Callable[[Path], None]] = {
    "examples": lambda path: figures.examples(path, IMAGES, LABELS, PREDICTED),
    "mistakes": lambda path: figures.confidently_wrong(
        path, "linear", IMAGES, LABELS, PROBABILITIES
    ),
    "confusion": lambda path: figures.confusion(path, "hidden", RNG.integers(0, 9, (10, 10)) * 0),
    "weights": lambda path: figures.weights(path, "linear", IMAGES[:10].T),
    "reliability": lambda path: figures.reliability(path, {"linear": PROBABILITIES}, LABELS),
}


def chunks(content: bytes) -> list[bytes]:
    """The types of a PNG's chunks."""
    types, position = [], 8
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        types.append(content[position + 4 : position + 8])
        position += length + 12
    return types


@pytest.mark.parametrize("name", DRAW)
def test_same_numbers_same_bytes_whatever_the_user_configured(tmp_path: Path, name: str) -> None:
    DRAW[name](tmp_path / "1.png")
    time.sleep(1.1)
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 40, "image.cmap": "jet"}):
        DRAW[name](tmp_path / "2.png")
    content = (tmp_path / "1.png").read_bytes()
    assert content == (tmp_path / "2.png").read_bytes()
    # No text, no time: just the picture.
    assert set(chunks(content)) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def vermillion(path: Path) -> int:
    """How many pixels have the colour that marks what is wrong."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.int16)
    return int((np.abs(pixels - np.round(np.array(to_rgb("#D55E00")) * 255)).max(axis=2) < 3).sum())


def test_only_wrong_predictions_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    right = {"linear": LABELS, "hidden": LABELS}
    figures.examples(path, IMAGES, LABELS, right)
    assert vermillion(path) == 0
    one_wrong = LABELS.copy()
    one_wrong[3] = (LABELS[3] + 1) % 10
    figures.examples(path, IMAGES, LABELS, right | {"hidden": one_wrong})
    one = vermillion(path)
    one_wrong[4] = (LABELS[4] + 1) % 10
    figures.examples(path, IMAGES, LABELS, right | {"hidden": one_wrong})
    assert 1000 < one < vermillion(path)


def test_a_model_without_mistakes_has_a_picture_too(tmp_path: Path) -> None:
    perfect = np.eye(10)[LABELS]
    figures.confidently_wrong(tmp_path / "a.png", "hidden", IMAGES, LABELS, perfect)
    assert Image.open(tmp_path / "a.png").size[0] > 900


def test_the_confusion_matrix_is_shaded_by_row(tmp_path: Path) -> None:
    """A label with one image, recognised, is as dark as one with a hundred."""
    counts = np.diag([1] + [100] * 9)
    figures.confusion(tmp_path / "a.png", "linear", counts)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    dark = (pixels == (8, 48, 107)).all(axis=2)
    columns = np.flatnonzero(dark[:, : pixels.shape[1] * 3 // 4].any(axis=0))
    # The diagonal spans all ten cells, the first included.
    assert columns[-1] - columns[0] > 0.9 * 10 * 50
