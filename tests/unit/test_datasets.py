"""Raw data sets: what is read, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from digits import datasets, files, paths
from digits.datasets import Digits
from digits.errors import UserError
from tests.conftest import ROOT

TINY = Digits(
    x_train=np.zeros((4, 6, 6), np.uint8),
    y_train=np.arange(4, dtype=np.uint8),
    x_test=np.full((2, 6, 6), 255, np.uint8),
    y_test=np.array([0, 9], np.uint8),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.RAW.mkdir(parents=True)


def test_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    digits = datasets.read("mnist")
    assert [len(part) for part in digits] == [60_000, 60_000, 10_000, 10_000]
    assert list(digits.y_train[:5]) == [5, 0, 4, 1, 9]
    assert list(digits.y_test[:5]) == [7, 2, 1, 0, 4]


def test_a_data_set_of_ones_own() -> None:
    np.savez(paths.raw("mine"), another=np.zeros(1), **TINY._asdict())
    for read, written in zip(datasets.read("mine"), TINY, strict=True):
        np.testing.assert_array_equal(read, written, strict=True)


NO_IMAGES, NO_LABELS = np.zeros((0, 6, 6), np.uint8), np.zeros(0, np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": TINY.x_train.astype(np.float32)}, "x_train is float32 (4, 6, 6), not uint8"),
        ({"x_train": TINY.x_train.astype(">u2")}, "x_train is >u2 (4, 6, 6), not uint8"),
        ({"x_test": TINY.x_test.reshape(2, 36)}, "x_test is uint8 (2, 36), not uint8 (n, side"),
        ({"x_test": TINY.x_test[..., None]}, "x_test is uint8 (2, 6, 6, 1), not uint8 (n, side"),
        ({"x_test": np.uint8(3)}, "x_test is uint8 (), not uint8 (n, side, side)"),
        ({"x_train": TINY.x_train[:, 1:]}, "x_train is uint8 (4, 5, 6): its images are not square"),
        ({"x_train": TINY.x_train[:, 1:, 1:]}, "x_test has images of 6x6 pixels, x_train of 5x5"),
        ({"x_test": TINY.x_test[:, :0, :0]}, "x_test has no images: its shape is (2, 0, 0)"),
        ({"x_train": NO_IMAGES, "y_train": NO_LABELS}, "x_train has no images: its shape is (0"),
        ({"x_test": NO_IMAGES, "y_test": NO_LABELS}, "x_test has no images: its shape is (0, 6"),
        ({"y_train": TINY.y_train.astype(int)}, "y_train is int64 (4,), not uint8 (4,)"),
        ({"y_train": np.zeros((4, 10), np.uint8)}, "y_train is uint8 (4, 10), not uint8 (4,)"),
        ({"y_test": TINY.y_test[1:]}, "y_test is uint8 (1,), not uint8 (2,)"),
        ({"y_test": TINY.y_test + np.uint8(1)}, "y_test has the label 10; labels are 0 to 9"),
        ({"y_test": np.array([{}, {}])}, "not a usable .npz file (y_test: Object arrays cannot"),
    ],
)
def test_a_file_that_holds_something_else(change: dict[str, np.ndarray], message: str) -> None:
    np.savez(paths.raw("mine"), **TINY._asdict() | change)
    with pytest.raises(UserError) as error:
        datasets.read("mine")
    assert str(error.value).startswith(f"data/raw/mine.npz: {message}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", Digits._fields)
def test_an_array_is_missing(name: str) -> None:
    arrays = {key: array for key, array in TINY._asdict().items() if key != name}
    files.write(paths.raw("mine"), files.array_bytes(arrays))
    with pytest.raises(UserError, match=rf"^data/raw/mine\.npz: .* \(it has no array {name}\)$"):
        datasets.read("mine")


def test_no_file_or_no_npz_file() -> None:
    with pytest.raises(UserError, match=r"^data/raw/mine\.npz: no such file$"):
        datasets.read("mine")
    shutil.copy(ROOT / "pyproject.toml", paths.raw("mine"))
    with pytest.raises(UserError, match=r"^data/raw/mine\.npz: not a usable \.npz file"):
        datasets.read("mine")
