"""Images kept with their labels, the score of each model, and data sets made with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.plumbing import files
from digits.plumbing.errors import UserError
from handwriting import collection, recognize
from tests.photographs import file_bytes

LABELS = ("T-shirt/top", "Ankle boot", "..", "7")
OWN = Path("own")


def image(value: int) -> np.ndarray:
    return np.full((28, 28), value, np.uint8)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_kept_images_are_read_by_label_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    files.write(OWN / "seven/1.png", b"")
    # The last one is dark on light.
    for value, number in ((10, 3), (20, 0), (30, 3), (40, 2), (205, 1)):
        path, before = collection.keep(image(value), LABELS[number], OWN)
        assert path and path.parent.parent == OWN and before is None
    images, labels = collection.read(OWN, LABELS)
    assert labels.tolist() == [0, 1, 2, 3, 3]
    assert labels.dtype == images.dtype == np.uint8
    assert images[:3, 0, 0].tolist() == [20, 50, 40] and images.shape == (5, 28, 28)
    assert sorted(images[3:, 5, 5].tolist()) == [10, 30]
    assert capsys.readouterr().err.splitlines() == [
        "own: files that --keep did not write: 1",
        "own: inverted 1 image: dark on light",
    ]


def test_images_of_another_kind_are_refused() -> None:
    for image in (Image.new("L", (27, 28)), Image.new("RGB", (28, 28))):
        files.write(OWN / "7/mine.png", file_bytes(image))
        with pytest.raises(UserError, match=r"^own/7/mine\.png: not a 28x28 grayscale PNG"):
            collection.read(OWN, LABELS)


def test_a_report_names_what_is_confused_most_often_first() -> None:
    labels, read = np.array([1, 1, 1, 0, 3], np.uint8), [2, 2, 1, 3, 3]
    models = {"linear": np.eye(4)[read], "third": np.eye(4)[labels]}
    assert collection.report(models, labels, LABELS) == [
        "linear: accuracy 0.400 (2 of 5), 95% interval 0.118 to 0.769",
        "  Ankle boot read as ..: 2",
        "  T-shirt/top read as 7: 1",
        "third: accuracy 1.000 (5 of 5), 95% interval 0.566 to 1.000",
    ]


def test_models_that_differ_are_unsure() -> None:
    linear, sure, other = np.array([[0.9, 0.1]]), np.array([[1, 0]]), np.array([[0.2, 0.8]])
    assert not recognize.unsure({"linear": linear, "hidden": sure}, [])
    # As wide as two digits.
    assert recognize.unsure({"hidden": sure}, [np.ones((10, 20))])
    assert recognize.unsure({"linear": linear, "hidden": other}, [])
