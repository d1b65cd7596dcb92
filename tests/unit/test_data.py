"""Raw data sets and prepared splits: reading, refusals and warnings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits import data
from digits.plumbing import files, paths
from digits.plumbing.errors import UserError
from digits.portable import formats

TINY = {
    "x_train": np.full((4, 6, 6), 200, np.uint8),
    "y_train": np.arange(4, dtype=np.uint8),
    "x_test": np.zeros((2, 6, 6), np.uint8),
    "y_test": np.array([0, 3], np.uint8),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read_raw(**changes: Any) -> data.RawData:
    arrays = {name: array for name, array in (TINY | changes).items() if array is not None}
    files.write(paths.raw("mine"), formats.array_bytes(arrays))
    return data.read_raw("mine")


def test_a_raw_data_set_and_the_names_of_its_labels() -> None:
    raw = read_raw(another=np.zeros(1))
    for name, array in TINY.items():
        np.testing.assert_array_equal(getattr(raw, name), array, strict=True)
    assert raw.names == ("0", "1", "2", "3")
    assert read_raw(names=np.array([*"abcd"])).names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "has no array x_train"),
        ({"x_train": TINY["x_train"] / 255}, "x_train is float64 (4, 6, 6), not uint8 (n, height"),
        ({"x_train": TINY["x_train"][:, 1:]}, "x_test has images of shape (6, 6), x_train of (5,"),
        ({"x_test": TINY["x_test"][:, :0]}, "x_test is uint8 (2, 0, 6), not uint8 (n, height"),
        ({"y_test": TINY["y_test"][1:]}, "y_test is uint8 (1,), not uint8 or uint16 (2,)"),
        ({"y_test": TINY["y_test"] + np.uint8(1)}, "y_test has the label 4; labels are 0 to 3"),
        ({"names": np.array([*"abcc"])}, "names must be unique, printable strings of"),
    ],
)
def test_a_raw_data_set_that_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        read_raw(**change)
    assert str(error.value).startswith(f"data/raw/mine.npz: {message}")


def test_probable_mistakes_are_warned_of() -> None:
    """Handwriting here is bright in the middle of a dark image, and no image is there twice."""
    images = np.zeros((9, 6, 6), np.uint8)
    images[:, 2:4, 2:4] = np.arange(200, 209)[:, None, None]

    def warnings(train: np.ndarray, test: np.ndarray, first_label: int = 0) -> list[str]:
        labels = first_label + np.arange(len(train), dtype=np.uint8) % 2
        names = tuple("0123"[: labels.max() + 1])
        return [*data.data_warnings(data.RawData(train, labels, test, labels, names))]

    assert warnings(images[:5], images[5:]) == []
    (bright,) = warnings(255 - images[:5], images[5:])
    assert bright.startswith("the edges of most images are bright; pixels go from 0 (paper) to 255")
    said = "no training image has the label 0; labels start from 0"
    assert warnings(images[:5], images[5:], first_label=1) == [said]
    assert warnings(images[:5], images[3:7]) == ["2 of 4 test images are also training images"]


def test_the_seed_chooses_what_is_held_out() -> None:
    (kept, held_out), again, (_, other) = (
        data.split_indices(1000, 100, seed) for seed in (1, 1, 2)
    )
    assert len(held_out) == 100
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(1000))
    np.testing.assert_array_equal([*kept, *held_out], np.concatenate(again))
    assert len(np.intersect1d(held_out, other)) < 50


def test_prepared_data_that_do_not_fit_are_refused() -> None:
    description = {"name": "mine", "labels": ["a", "b"], "shape": (2, 2, 3)}
    files.write(paths.DATASET, formats.json_bytes(description))
    for dtype, count, pixels, label in (
        ("f4", 1, 11, 0),
        ("f4", 1, 12, 2),
        ("u1", 1, 12, 0),
        ("f4", 0, 12, 0),
    ):
        images, labels = np.zeros((count, pixels), dtype), np.full(count, label, np.uint8)
        content = formats.array_bytes({"images": images, "labels": labels})
        files.write(paths.prepared("train"), content)
        with pytest.raises(UserError, match=r"^data/prepared/train\.npz: .* run dvc repro --force"):
            data.read(("train",))
    for key, value in (("labels", 5), ("shape", (784,)), ("shape", (-1, 28))):
        files.write(paths.DATASET, formats.json_bytes(description | {key: value}))
        with pytest.raises(UserError, match=rf"^data/prepared/dataset\.json: {key}"):
            data.read(("train",))
