"""Raw data sets: data/raw/NAME.npz, in the layout of `keras.datasets.mnist`."""

from typing import NamedTuple

import numpy as np

from digits import files, paths
from digits.errors import UserError

LARGEST_LABEL = 9


class Digits(NamedTuple):
    """A raw data set: images uint8 (n, side, side), labels uint8 (n,) with values 0 to 9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def read(name: str) -> Digits:
    """Read data/raw/`name`.npz. Raises UserError if it does not hold Digits."""
    path = paths.raw(name)
    digits = Digits(*files.read_arrays(path, Digits._fields))
    problem = _problem(digits)
    if problem:
        raise UserError(f"{path}: {problem}")
    return digits


def _problem(digits: Digits) -> str | None:
    for part in ("train", "test"):
        images, labels = getattr(digits, f"x_{part}"), getattr(digits, f"y_{part}")
        if images.dtype != np.uint8 or images.ndim != 3:
            return f"x_{part} is {images.dtype} {images.shape}, not uint8 (n, side, side)"
        if not images.size:
            return f"x_{part} has no images: its shape is {images.shape}"
        if images.shape[1] != images.shape[2]:
            return f"x_{part} is {images.dtype} {images.shape}: its images are not square"
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            return f"y_{part} is {labels.dtype} {labels.shape}, not uint8 ({len(images)},)"
        if labels.max() > LARGEST_LABEL:
            return f"y_{part} has the label {labels.max()}; labels are 0 to {LARGEST_LABEL}"
    train, test = digits.x_train.shape[1], digits.x_test.shape[1]
    if train != test:
        return f"x_test has images of {test}x{test} pixels, x_train of {train}x{train}"
    return None
