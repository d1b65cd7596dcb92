"""Figures: mistakes are marked; all texts have room."""

import io
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from digits import figures, metrics
from digits.data import Dataset

RNG = np.random.default_rng(0)
IMAGES = RNG.random((30, 28, 28), np.float32)
LABELS = RNG.integers(0, 10, 30).astype(np.uint8)
DIGITS = Dataset("mnist", tuple("0123456789"), (28, 28), {})
RIGHT = metrics.predictions(3 * np.eye(10, dtype=np.float32)[LABELS], LABELS)


class Measured(Figure):
    """Fails where a text reaches out of the figure or over another one."""

    def savefig(self, *args: Any, **options: Any) -> None:
        super().savefig(*args, **options)
        texts = [text for axes in self.axes for text in (axes.title, *axes.texts)]
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert all(box.x0 >= 0 and box.x1 <= self.bbox.x1 for box in boxes)
        assert all(box.y0 >= 0 and box.y1 <= self.bbox.y1 for box in boxes)
        assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(
    ("labels", "shape"),
    [
        ("abcdefghijklmnopqrstuvwxyz", (28, 28)),
        (["wide trousers", "ankle boots"], (20, 30, 3)),
        ([*map(str, range(99))], (30, 20, 2)),
    ],
)
def test_other_labels_images_and_models_have_room(
    labels: Sequence[str], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "Figure", Measured)
    models = ["linear", "hidden", "convolutional"]
    dataset = Dataset("a_data_set_with_a_long_name", tuple(labels), shape, {})
    images, count = RNG.random((30, *shape), np.float32), len(labels)
    truth = np.arange(30, dtype=np.uint8) % count
    guessed = {name: metrics.predictions(RNG.normal(0, 2, (30, count)), truth) for name in models}
    figures.examples(dataset, images, guessed, 20)
    figures.reliability(dataset, guessed)
    figures.mistakes(dataset, models[-1], images, guessed[models[-1]])
    figures.confusion(dataset, models[-1], guessed[models[-1]])
    figures.weights(dataset, models[-1], RNG.random((dataset.num_pixels, count)))


def test_only_wrong_predictions_are_marked() -> None:
    def marked(*wrong: int) -> int:
        """How many pixels are vermillion."""
        predicted = LABELS.copy()
        predicted[list(wrong)] = (predicted[list(wrong)] + 1) % 10
        found = metrics.predictions(3 * np.eye(10, dtype=np.float32)[predicted], LABELS)
        content = figures.examples(DIGITS, IMAGES, {"a": RIGHT, "b": found}, 8)
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)
        return int((np.abs(pixels - [0xD5, 0x5E, 0x00]).max(axis=2) < 3).sum())

    assert marked() == marked(8) == 0
    assert 1000 < marked(3) < marked(3, 4)
    assert [figures.percent(share) for share in (1.0, 1 - 1e-12)] == ["100.00%", "99.99%"]
