"""Figures: same numbers, same bytes; what is wrong is marked; the data set is named."""

import io
import time
from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from digits import figures, metrics
from digits.metrics import Predictions

RNG = np.random.default_rng(0)
IMAGES = RNG.random((30, 784), np.float32)
LABELS = RNG.integers(0, 10, 30).astype(np.uint8)


def predicting(digits: np.ndarray, labels: np.ndarray = LABELS) -> Predictions:
    return metrics.predictions(3 * np.eye(10, dtype=np.float32)[digits], labels)


RIGHT = predicting(LABELS)
GUESSED = metrics.predictions(RNG.normal(0, 2, (30, 10)), LABELS)
BOTH = {"linear": GUESSED, "hidden": RIGHT}

DRAW: dict[str, Callable[[str], bytes]] = {
    "examples": lambda dataset: figures.examples(dataset, IMAGES, BOTH, 20),
    "mistakes": lambda dataset: figures.mistakes(dataset, "linear", IMAGES, GUESSED),
    "confusion": lambda dataset: figures.confusion(dataset, "linear", GUESSED),
    "weights": lambda dataset: figures.weights(dataset, "linear", IMAGES[:10].T),
    "reliability": lambda dataset: figures.reliability(dataset, BOTH),
}


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)


def area(content: bytes, color: str) -> int:
    """How many pixels have about this color."""
    expected = np.round(np.array(to_rgb(color)) * 255)
    return int((np.abs(pixels(content) - expected).max(axis=2) < 3).sum())


@pytest.mark.parametrize("name", DRAW)
def test_same_numbers_same_bytes_with_the_data_set_in_the_title(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = DRAW[name]("mnist")
    assert b"tEXt" not in content
    assert b"tIME" not in content
    # At another time, and whatever the user has configured.
    monkeypatch.setattr(time, "time", lambda: 1e9)
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 40, "image.cmap": "jet"}):
        assert DRAW[name]("mnist") == content
        assert matplotlib.rcParams["font.size"] == 30
    # Another name changes the top of the figure and nothing else.
    changed = (pixels(DRAW[name]("mine!")) != pixels(content)).any(axis=(1, 2))
    assert changed[:50].any()
    assert not changed[50:].any()


def test_only_wrong_predictions_are_marked() -> None:
    def marked(*wrong: int) -> int:
        digits = LABELS.copy()
        digits[list(wrong)] = (digits[list(wrong)] + 1) % 10
        predicted = {"linear": RIGHT, "hidden": predicting(digits)}
        return area(figures.examples("mnist", IMAGES, predicted, 8), "#D55E00")

    assert marked() == marked(8) == 0
    assert 1000 < marked(3) < marked(3, 4)


def test_mistakes_carry_their_index() -> None:
    def one_mistake(index: int) -> bytes:
        digits = np.where(np.arange(30) == index, 1, 0)
        predicted = predicting(digits, np.zeros(30, np.uint8))
        return figures.mistakes("mnist", "hidden", np.zeros_like(IMAGES), predicted)

    assert one_mistake(3) != one_mistake(4)


def test_the_most_confident_mistakes_are_shown() -> None:
    """There is room for 24; of the 29 images the first is right, the second hardly believed."""
    predicted = predicting((LABELS + 1) % 10)._replace(
        correct=np.arange(30) == 0, confidence=np.append([1, 0.2], np.full(28, 0.5))
    )

    def without(*rows: int) -> bytes:
        images = IMAGES.copy()
        images[list(rows)] = 0
        return figures.mistakes("mnist", "hidden", images, predicted)

    assert without(0, 1) == without()
    assert without(2) != without()


def test_a_model_without_mistakes_has_a_figure_too() -> None:
    assert pixels(figures.mistakes("mnist", "hidden", IMAGES, RIGHT)).shape[1] > 900


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100.00 %"),
        (1 - 1e-12, "99.99 %"),
        (0.99999, "99.99 %"),
        (0.5, "50.00 %"),
        (0.12349, "12.34 %"),
        (0.0, "0.00 %"),
    ],
)
def test_only_certainty_is_100_percent(share: float, text: str) -> None:
    assert figures.percent(share) == text


@pytest.mark.parametrize("right", [10, 1000])
def test_the_confusion_matrix_is_shaded_by_mistakes_alone(right: int) -> None:
    counts = np.diag([right] * 10)
    perfect = figures.confusion("mnist", "linear", RIGHT._replace(confusion=counts))
    counts[3, 5] = right // 10
    content = figures.confusion("mnist", "linear", RIGHT._replace(confusion=counts))
    # The diagonal has a color of its own; the only kind of mistake has the darkest shade.
    diagonal, darkest = "#E8EEF2", "#7F2704"
    assert area(perfect, diagonal) == pytest.approx(area(content, diagonal), rel=0.05)
    cell = area(content, diagonal) / 10
    assert 0.6 * cell < area(content, darkest) - area(perfect, darkest) < 1.2 * cell
