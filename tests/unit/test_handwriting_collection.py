"""Images kept with their labels, the score of each model, and data sets made with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits import data, files, paths
from digits.errors import UserError
from handwriting import collection, recognize
from tests.photographs import file_bytes
from tools import dataset

LABELS = ("T-shirt/top", "Ankle boot", "..", "7")
OWN = Path("own")


def image(value: int) -> np.ndarray:
    return np.full((28, 28), value, np.uint8)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_kept_images_are_read_by_label_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    files.write(OWN / "seven/1.png", b"")
    for value, number in ((10, 3), (20, 0), (30, 3), (40, 2), (50, 1)):
        path, before = collection.keep(image(value), LABELS[number], OWN)
        assert path and path.parent.parent == OWN and before is None
    images, labels = collection.read(OWN, LABELS)
    assert labels.tolist() == [0, 1, 2, 3, 3]
    assert labels.dtype == images.dtype == np.uint8
    assert images[:3, 0, 0].tolist() == [20, 50, 40] and images.shape == (5, 28, 28)
    assert sorted(images[3:, 5, 5].tolist()) == [10, 30]
    assert capsys.readouterr().err == "own: files that --keep did not write: 1\n"


def test_the_same_image_is_one_file_under_its_latest_label() -> None:
    labels = ["7", "7", "T-shirt/top", None, None]
    for before, label in zip([None, *labels], labels, strict=False):
        path, found = collection.keep(image(1), label, OWN)
        assert found == before
        assert list(OWN.rglob("*.*")) == ([path] if label else [])


@pytest.mark.parametrize("label", ["", "8", "7 ", "t-shirt/top"])
def test_other_labels_are_refused(label: str) -> None:
    collection.check_label(LABELS[0], LABELS)
    with pytest.raises(UserError, match="not a label; labels are T-shirt/top, Ankle boot"):
        collection.check_label(label, LABELS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file_bytes(Image.new("L", (27, 28))), "not an image of 28x28 gray pixels"),
        (file_bytes(Image.new("RGB", (28, 28))), "not an image of 28x28 gray pixels"),
        (file_bytes(Image.new("L", (28, 28)))[:50], "not a readable PNG file"),
    ],
)
def test_a_file_under_a_label_that_was_not_kept(content: bytes, reason: str) -> None:
    files.write(OWN / "7/mine.png", content)
    with pytest.raises(UserError, match=f"^own/7/mine.png: {reason}"):
        collection.read(OWN, LABELS)


def test_kept_images_join_the_training_images_alone() -> None:
    x, y = np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)
    raw = data.RawData(x, y, x[:2] + 1, y[:2], LABELS)
    small = raw._replace(x_train=x[:, :8, :8], x_test=x[:2, :8, :8])
    for name, content in (("tiny", raw), ("eight", small)):
        files.write(paths.raw(name), dataset.content(content))
    collection.keep(image(200), "Ankle boot", OWN)
    new, count = collection.added(OWN, "tiny")
    assert (count, new.y_train.tolist(), new.names) == (1, [0, 1, 2, 3, 1], LABELS)
    np.testing.assert_array_equal(new.x_train, [*x, image(200)])
    np.testing.assert_array_equal(new.x_test, raw.x_test)
    np.testing.assert_array_equal(new.y_test, raw.y_test)
    with pytest.raises(UserError, match=r"eight\.npz: its images have 8x8 pixels"):
        collection.added(OWN, "eight")


@pytest.mark.parametrize("name", ["tracked", "present", "a/b", "../mnist", "", "a b", "a.npz"])
def test_names_that_a_new_data_set_cannot_have(name: str) -> None:
    files.write(Path("data/raw/present.npz"), b"")
    files.write(Path("data/raw/tracked.npz.dvc"), b"")
    collection.check_name("mnist_own-2")
    with pytest.raises(UserError):
        collection.check_name(name)


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
    assert not recognize.unsure({"linear": linear, "hidden": sure})
    assert recognize.unsure({"linear": linear, "hidden": other})
