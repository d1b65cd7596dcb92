from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lib import files, paths, splits
from stages.lib.errors import UserError
from stages.lib.splits import Split


@given(n=st.integers(1, 500), size=st.integers(0, 600), seed=st.integers(0, 2**32 - 1))
def test_holding_out_divides_the_indices(n: int, size: int, seed: int) -> None:
    kept, held_out = splits.hold_out(n, size, seed)
    assert len(held_out) == min(size, n // 2)
    assert sorted([*kept, *held_out]) == list(range(n))


def test_the_seed_chooses_what_is_held_out() -> None:
    first, again, other = (splits.hold_out(1000, 100, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert 0 < len(set(first) & set(other)) < 50
    # From everywhere, not from one end.
    assert first.min() < 100 < 900 < first.max()


def test_scaling_keeps_rows_and_maps_255_to_1() -> None:
    images = np.array([[[0, 51], [102, 255]], [[1, 2], [3, 4]]], np.uint8)
    expected = np.array([[0, 0.2, 0.4, 1], [1 / 255, 2 / 255, 3 / 255, 4 / 255]], np.float32)
    np.testing.assert_allclose(splits.scale(images), expected, rtol=1e-7)
    assert splits.scale(images).dtype == np.float32


IMAGES, LABELS = np.full((3, 4), 0.5, np.float32), np.array([0, 5, 9], np.uint8)


def test_a_split_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    splits.write("train", Split(IMAGES, LABELS))
    back = splits.read("train")
    np.testing.assert_array_equal(back.images, IMAGES, strict=True)
    np.testing.assert_array_equal(back.labels, LABELS, strict=True)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float64), LABELS, "images is float64"),
        (IMAGES.reshape(3, 2, 2), LABELS, r"images is float32 \(3, 2, 2\)"),
        (IMAGES, LABELS.astype(np.int64), "labels is int64"),
        (IMAGES, LABELS[:2], r"labels is uint8 \(2,\)"),
        (IMAGES * np.float32("nan"), LABELS, r"values outside 0\.\.1"),
        (IMAGES * 3, LABELS, r"values outside 0\.\.1"),
        (-IMAGES, LABELS, r"values outside 0\.\.1"),
        (IMAGES, LABELS + 1, "has the value 10"),
        (IMAGES[:0], LABELS[:0], "holds no image"),
    ],
)
def test_a_file_that_holds_something_else_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: np.ndarray,
    labels: np.ndarray,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_arrays(paths.prepared("test"), {"images": images, "labels": labels})
    with pytest.raises(UserError, match=rf"data/prepared/test\.npz: .*{message}.*dvc repro"):
        splits.read("test")


def test_validation_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    splits.write("validation", Split(IMAGES[:0], LABELS[:0]))
    assert len(splits.read("validation").labels) == 0
