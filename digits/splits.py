"""The training, validation and test images as the stages pass them on (data/prepared/)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from digits import files, paths
from digits.errors import UserError

CLASSES = 10
REMEDY = "regenerate it: dvc repro -f prepare"


class Split(NamedTuple):
    """Images float32 (n, height * width) in [0, 1] and labels uint8 (n,) with values 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


def hold_out(n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the indices 0 to n-1 into those kept and those held out, each in ascending order.

    `size` of them, chosen by `seed`, are held out.
    """
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[size:]), np.sort(order[:size])


def scale(images: np.ndarray) -> np.ndarray:
    """uint8 (n, height, width) -> float32 (n, height * width), 0..255 scaled to 0..1."""
    n, height, width = images.shape
    return images.reshape(n, height * width) / np.float32(255)


def square(images: np.ndarray) -> np.ndarray:
    """Any (n, side * side) -> (n, side, side)."""
    side = math.isqrt(images.shape[1])
    return images.reshape(-1, side, side)


def read(name: str) -> Split:
    """Read data/prepared/`name`.npz.

    Raises UserError if the file does not hold a Split, or if it is empty (validation may be).
    """
    path = paths.prepared(name)
    split = Split(*files.read_arrays(path, Split._fields))
    problem = _problem(split)
    if not problem and not len(split.labels) and name != "validation":
        problem = "has no images"
    if problem:
        raise UserError(f"{path}: {problem}; {REMEDY}")
    return split


def read_all(names: Sequence[str]) -> dict[str, Split]:
    """Read several splits. Raises UserError as `read` does, or if their images differ in size."""
    first = names[0]
    data = {name: read(name) for name in names}
    pixels = {name: split.images.shape[1] for name, split in data.items()}
    for name in names:
        if pixels[name] != pixels[first]:
            raise UserError(
                f"{paths.prepared(name)}: its images have {pixels[name]} pixels, those of "
                f"{paths.prepared(first)} have {pixels[first]}; {REMEDY}"
            )
    return data


def _problem(split: Split) -> str | None:
    images, labels = split
    if images.dtype != np.float32 or images.ndim != 2:
        return f"images is {images.dtype} {images.shape}, not float32 (n, pixels)"
    if not images.shape[1] or math.isqrt(images.shape[1]) ** 2 != images.shape[1]:
        return f"images have {images.shape[1]} pixels, so they are not square"
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        return f"labels is {labels.dtype} {labels.shape}, not uint8 ({len(images)},)"
    # Written so that NaN, which is neither, counts as outside.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        return "images has values outside 0..1"
    if labels.max(initial=0) >= CLASSES:
        return f"labels has the value {labels.max()}; labels are 0 to {CLASSES - 1}"
    return None
