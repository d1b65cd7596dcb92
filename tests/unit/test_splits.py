"""Holding out, scaling, and the files in data/prepared/."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits import files, paths, splits
from digits.errors import UserError
from digits.splits import Split


@given(data=st.data(), n=st.integers(1, 500), seed=st.integers(0, 2**32 - 1))
def test_holding_out_divides_the_indices(data: st.DataObject, n: int, seed: int) -> None:
    size = data.draw(st.integers(0, n))
    kept, held_out = splits.hold_out(n, size, seed)
    assert len(held_out) == size
    assert sorted([*kept, *held_out]) == list(range(n))
    assert list(kept) == sorted(kept)
    assert list(held_out) == sorted(held_out)


def test_the_seed_chooses_what_is_held_out() -> None:
    first, again, other = (splits.hold_out(1000, 100, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert 0 < len(set(first) & set(other)) < 50
    # From everywhere, not from one end.
    assert first.min() < 100 < 900 < first.max()


def test_scaling_keeps_rows_and_maps_255_to_1() -> None:
    images = np.array([[[0, 51], [102, 255]], [[1, 2], [3, 4]]], np.uint8)
    expected = np.array([[0, 0.2, 0.4, 1], [1 / 255, 2 / 255, 3 / 255, 4 / 255]], np.float32)
    scaled = splits.scale(images)
    np.testing.assert_allclose(scaled, expected, rtol=1e-7)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(splits.square(scaled) * 255, images, rtol=1e-6)


IMAGES, LABELS = np.full((3, 4), 0.5, np.float32), np.array([0, 5, 9], np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, images: np.ndarray, labels: np.ndarray) -> None:
    arrays = files.array_bytes({"images": images, "labels": labels})
    files.write(paths.prepared(name), arrays)


def test_splits_come_back_as_they_were() -> None:
    write("train", IMAGES, LABELS)
    write("validation", IMAGES[:0], LABELS[:0])
    data = splits.read_all(("train", "validation"))
    np.testing.assert_array_equal(data["train"].images, IMAGES, strict=True)
    np.testing.assert_array_equal(data["train"].labels, LABELS, strict=True)
    assert isinstance(data["validation"], Split)
    assert len(data["validation"].labels) == 0


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float64), LABELS, "images is float64 (3, 4), not float32 (n, pixels)"),
        (IMAGES.astype(">f4"), LABELS, "images is >f4 (3, 4), not float32 (n, pixels)"),
        (IMAGES.reshape(3, 2, 2), LABELS, "images is float32 (3, 2, 2), not float32 (n, pixels)"),
        (IMAGES[:, :3], LABELS, "images have 3 pixels, so they are not square"),
        (IMAGES[:, :0], LABELS, "images have 0 pixels, so they are not square"),
        (IMAGES, LABELS.astype(np.int64), "labels is int64 (3,), not uint8 (3,)"),
        (IMAGES, LABELS[:2], "labels is uint8 (2,), not uint8 (3,)"),
        (IMAGES * np.float32("nan"), LABELS, "images has values outside 0..1"),
        (IMAGES * np.float32("inf"), LABELS, "images has values outside 0..1"),
        (IMAGES + np.float32(0.51), LABELS, "images has values outside 0..1"),
        (IMAGES - np.float32(0.51), LABELS, "images has values outside 0..1"),
        (IMAGES, LABELS + np.uint8(1), "labels has the value 10; labels are 0 to 9"),
        (IMAGES[:0], LABELS[:0], "has no images"),
    ],
)
def test_a_file_that_holds_something_else(
    images: np.ndarray, labels: np.ndarray, message: str
) -> None:
    write("test", images, labels)
    with pytest.raises(UserError) as error:
        splits.read("test")
    expected = f"data/prepared/test.npz: {message}; regenerate it: dvc repro -f prepare"
    assert str(error.value) == expected


def test_splits_with_images_of_another_size() -> None:
    write("train", IMAGES, LABELS)
    write("test", IMAGES[:, :1], LABELS)
    with pytest.raises(UserError, match=r"^data/prepared/test\.npz: its images have 1 pixels, tho"):
        splits.read_all(("train", "test"))
