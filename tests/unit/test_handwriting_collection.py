"""Images kept with their labels, what each model makes of them, and data sets made with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits import datasets, files, paths
from digits.errors import UserError
from handwriting import collection, recognize, score
from tests.photographs import file_bytes


def image(value: int) -> np.ndarray:
    return np.full((28, 28), value, np.uint8)


def test_what_is_kept_is_read_by_label_and_name(tmp_path: Path) -> None:
    for value, label in ((10, 7), (20, 0), (30, 7)):
        path = collection.keep(image(value), label, tmp_path / "own")
        assert path.parent == tmp_path / "own" / str(label)
    images, labels = collection.read(tmp_path / "own")
    assert labels.tolist() == [0, 7, 7]
    assert labels.dtype == images.dtype == np.uint8
    assert images.shape == (3, 28, 28)
    assert images[0, 0, 0] == 20
    assert sorted(images[1:, 5, 5].tolist()) == [10, 30]


def test_the_same_image_is_one_file_under_its_latest_label(tmp_path: Path) -> None:
    first = collection.keep(image(1), 3, tmp_path)
    assert collection.keep(image(1), 3, tmp_path) == first
    assert list(tmp_path.rglob("*.*")) == [first]
    second = collection.keep(image(1), 5, tmp_path)
    assert list(tmp_path.rglob("*.*")) == [second]


@pytest.mark.parametrize("text", ["", "10", "-1", "seven", "7 ", "\N{ARABIC-INDIC DIGIT SEVEN}"])
def test_what_is_no_label(text: str) -> None:
    with pytest.raises(UserError, match="not a label; labels are 0 to 9"):
        collection.parse_label(text)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images kept here"):
        collection.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file_bytes(Image.new("L", (27, 28))), "not an image of 28x28 gray pixels"),
        (file_bytes(Image.new("RGB", (28, 28))), "not an image of 28x28 gray pixels"),
        (file_bytes(Image.new("L", (28, 28)))[:50], "not a readable PNG file"),
        (b"text", "not a readable PNG file"),
    ],
)
def test_a_file_under_a_label_that_was_not_kept(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "4" / "mine.png"
    files.write(path, content)
    with pytest.raises(UserError, match=f"^{path}: {reason}"):
        collection.read(tmp_path)


def test_kept_images_join_the_training_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {
        "x_train": np.zeros((4, 28, 28), np.uint8),
        "y_train": np.arange(4, dtype=np.uint8),
        "x_test": np.ones((2, 28, 28), np.uint8),
        "y_test": np.arange(2, dtype=np.uint8),
    }
    files.write(paths.raw("tiny"), files.array_bytes(arrays))
    collection.keep(image(200), 9, Path("own"))
    digits, count = collection.added(Path("own"), "tiny")
    assert count == 1
    assert digits.y_train.tolist() == [0, 1, 2, 3, 9]
    np.testing.assert_array_equal(digits.x_train[:4], arrays["x_train"])
    np.testing.assert_array_equal(digits.x_train[4], image(200))
    tiny = datasets.read("tiny")
    np.testing.assert_array_equal(digits.x_test, tiny.x_test)
    np.testing.assert_array_equal(digits.y_test, tiny.y_test)


def test_images_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = datasets.Digits._fields
    arrays = {name: np.zeros((2, 8, 8)[: 3 if name[0] == "x" else 1], np.uint8) for name in names}
    files.write(paths.raw("eight"), files.array_bytes(arrays))
    with pytest.raises(UserError, match=r"eight\.npz: its images have 8x8 pixels"):
        collection.added(Path("own"), "eight")


@pytest.mark.parametrize("name", ["tracked", "present", "a/b", "../mnist", "", "a b", "a.npz"])
def test_names_that_a_new_data_set_cannot_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write(Path("data/raw/present.npz"), b"")
    files.write(Path("data/raw/tracked.npz.dvc"), b"")
    collection.check_name("mnist_own-2")
    with pytest.raises(UserError):
        collection.check_name(name)


def test_a_report_names_what_is_confused_most_often_first() -> None:
    labels = np.array([4, 4, 4, 1, 7], np.uint8)
    digits = np.array([9, 9, 4, 7, 7])
    perfect = np.eye(10)[labels]
    assert score.report({"linear": np.eye(10)[digits], "hidden": perfect}, labels).splitlines() == [
        "linear: accuracy 0.400 (2 of 5), 95% interval 0.118 to 0.769",
        "  4 read as 9: 2",
        "  1 read as 7: 1",
        "hidden: accuracy 1.000 (5 of 5), 95% interval 0.566 to 1.000",
    ]


def test_models_that_differ_are_unsure() -> None:
    models = {
        "linear": np.array([[0.9, 0.1], [0.9, 0.1]]),
        "hidden": np.array([[1, 0], [0.2, 0.8]]),
    }
    assert recognize.unsure(models).tolist() == [False, True]
