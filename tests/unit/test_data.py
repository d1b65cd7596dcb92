"""Raw data sets and prepared splits: what is read, refused and doubted."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits import data, files, formats, paths
from digits.data import DataSet
from digits.errors import UserError

TINY = {
    "x_train": np.full((4, 6, 6), 200, np.uint8),
    "y_train": np.arange(4, dtype=np.uint8),
    "x_test": np.zeros((2, 6, 6), np.uint8),
    "y_test": np.array([0, 3], np.uint8),
}
IMAGES, LABELS = np.full((3, 4), 0.5, np.float32), np.array([0, 5, 9], np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_raw(**changes: np.ndarray | None) -> None:
    arrays = {name: array for name, array in (TINY | changes).items() if array is not None}
    files.write(paths.raw("mine"), formats.array_bytes(arrays))


def test_a_raw_data_set_and_the_names_of_its_labels() -> None:
    write_raw(another=np.zeros(1))
    raw = data.read_raw("mine")
    for name, array in TINY.items():
        np.testing.assert_array_equal(getattr(raw, name), array, strict=True)
    assert raw.names == ("0", "1", "2", "3")
    write_raw(names=np.array(["bag", "coat", "ankle boot", "shirt"]))
    assert data.read_raw("mine").names == ("bag", "coat", "ankle boot", "shirt")
    for count in (26, 256):
        write_raw(x_train=np.zeros((count, 6, 6), np.uint8), y_train=np.arange(count, dtype="u1"))
        assert data.read_raw("mine").names == tuple(map(str, range(count)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "has no array x_train"),
        ({"x_train": TINY["x_train"] / 255}, "x_train is float64 (4, 6, 6), not uint8 (n, side, "),
        ({"x_test": TINY["x_test"][..., None]}, "x_test is uint8 (2, 6, 6, 1), not uint8 (n, side"),
        ({"x_train": TINY["x_train"][:, 1:]}, "x_train is uint8 (4, 5, 6): its images are not sq"),
        ({"x_train": TINY["x_train"][:, 1:, 1:]}, "x_test has images of 6x6 pixels, x_train of 5x"),
        ({"x_test": TINY["x_test"][:, :0]}, "x_test has no images: its shape is (2, 0, 6)"),
        ({"y_test": TINY["y_test"][1:]}, "y_test is uint8 (1,), not uint8 (2,)"),
        ({"y_test": TINY["y_test"] + np.uint8(1)}, "y_test has the label 4; labels are 0 to 3"),
        ({"names": np.array(["a", "b", "c"])}, "y_train has the label 3; labels are 0 to 2"),
        ({"names": np.array(["a", "b", "c", "c"])}, "names is <U1 (4,); must be (labels,) of diff"),
    ],
)
def test_a_raw_data_set_that_is_refused(change: dict[str, np.ndarray], message: str) -> None:
    write_raw(**change)
    with pytest.raises(UserError) as error:
        data.read_raw("mine")
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"data/raw/mine.npz: {message}")
    assert line.endswith("; multiply by 255 first") == ("float" in message)


def test_what_is_probably_a_mistake_is_doubted() -> None:
    """Handwriting here is bright in the middle of a dark image, and no image is there twice."""
    images = np.zeros((9, 6, 6), np.uint8)
    images[:, 2:4, 2:4] = np.arange(200, 209)[:, None, None]
    labels = np.zeros(9, np.uint8)

    def doubts(train: np.ndarray, test: np.ndarray) -> list[str]:
        return list(data.doubts(data.RawData(train, labels[:5], test, labels[:4], ("0",))))

    assert doubts(images[:5], images[5:]) == []
    for largest, scaled in ((1, images[:5] // 200), (16, images[:5] // 200 * 16)):
        (doubt,) = doubts(scaled, images[5:])
        assert doubt == f"the largest value in x_train is {largest}; pixels go from 0 to 255"
    (doubt,) = doubts(255 - images[:5], images[5:])
    assert doubt.startswith("the edges of most images are bright; pixels go from 0 (paper) to 255")
    assert doubts(images[:5], images[3:7]) == ["2 of 4 test images are training images, too"]


@given(drawn=st.data(), n=st.integers(1, 500), seed=st.integers(0, 2**32 - 1))
def test_holding_out_divides_the_indices(drawn: st.DataObject, n: int, seed: int) -> None:
    size = drawn.draw(st.integers(0, n))
    kept, held_out = data.hold_out(n, size, seed)
    assert len(held_out) == size
    assert sorted([*kept, *held_out]) == list(range(n))
    assert (list(kept), list(held_out)) == (sorted(kept), sorted(held_out))


def test_the_seed_chooses_what_is_held_out() -> None:
    first, again, other = (data.hold_out(1000, 100, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(set(first) & set(other)) < 50


def test_scaling_maps_255_to_1_and_square_undoes_the_flattening() -> None:
    images = np.array([[[0, 51], [102, 255]], [[1, 2], [3, 4]]], np.uint8)
    expected = np.array([[0, 0.2, 0.4, 1], [1 / 255, 2 / 255, 3 / 255, 4 / 255]], np.float32)
    scaled = data.scale(images)
    np.testing.assert_allclose(scaled, expected, rtol=1e-7, strict=True)
    np.testing.assert_allclose(data.square(scaled) * 255, images, rtol=1e-6)


def write_prepared(split: str, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> None:
    arrays = formats.array_bytes({"images": images, "labels": labels})
    described = formats.json_bytes({"name": "mine", "labels": [*"abcdefghij"]})
    files.write_all({paths.DATASET: described, paths.prepared(split): arrays})


def test_splits_come_back_as_they_were_if_they_fit_each_other() -> None:
    write_prepared("train")
    write_prepared("validation", IMAGES[:0], LABELS[:0])
    dataset, splits = data.read(("train", "validation"))
    assert dataset == DataSet("mine", tuple("abcdefghij"))
    np.testing.assert_array_equal(splits["train"].images, IMAGES, strict=True)
    np.testing.assert_array_equal(splits["train"].labels, LABELS, strict=True)
    assert len(splits["validation"].labels) == 0
    write_prepared("test", IMAGES[:, :1])
    with pytest.raises(UserError, match=r"^data/prepared/test\.npz: its images have 1 pixels, tho"):
        data.read(("train", "test"))
    files.write(paths.DATASET, b"{}")
    with pytest.raises(UserError, match=r"dataset\.json: not a description of a data set; reg"):
        data.read(("train",))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(float), LABELS, "images is float64 (3, 4), not float32 (n, pixels)"),
        (IMAGES[:, :3], LABELS, "images have 3 pixels, so they are not square"),
        (IMAGES, LABELS[:2], "labels is uint8 (2,), not uint8 (3,)"),
        (IMAGES * np.float32("nan"), LABELS, "images has values outside 0..1"),
        (IMAGES, LABELS + np.uint8(1), "labels has the value 10; labels are 0 to 9"),
        (IMAGES[:0], LABELS[:0], "has no images"),
    ],
)
def test_a_split_that_is_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    write_prepared("test", images, labels)
    with pytest.raises(UserError) as error:
        data.read(("test",))
    expected = f"data/prepared/test.npz: {message}; regenerate it: dvc repro -f prepare"
    assert str(error.value) == expected
