"""Raw data sets (data/raw/), and the images that the stages pass on (data/prepared/)."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from digits import files, formats, paths
from digits.errors import UserError

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
REMEDY = "regenerate it: dvc repro -f prepare"


class RawData(NamedTuple):
    """A raw data set: images uint8 (n, side, side), labels uint8 (n,), and a name per label."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    names: tuple[str, ...]


class Split(NamedTuple):
    """Images float32 (n, height * width) in [0, 1] and labels uint8 (n,), from 0."""

    images: np.ndarray
    labels: np.ndarray


class DataSet(NamedTuple):
    """The name of the prepared data set, and the names of its labels."""

    name: str
    labels: tuple[str, ...]


def read_raw(name: str) -> RawData:
    """Read data/raw/`name`.npz. Raises UserError if it does not hold a raw data set.

    Without an array `names` the labels are called "0", "1", ... up to the largest in training.
    """
    path = paths.raw(name)
    arrays = formats.parse_arrays(files.read(path), str(path), [*ARRAYS, "names"])
    problem = _raw_problem(arrays)
    if problem:
        raise UserError(f"{path}: {problem}")
    names = arrays.pop("names", _default_names(arrays["y_train"]))
    return RawData(**arrays, names=tuple(map(str, names)))


def _default_names(labels: np.ndarray) -> np.ndarray:
    return np.arange(int(labels.max()) + 1).astype(str)


def _raw_problem(arrays: dict[str, np.ndarray]) -> str | None:
    for name in ARRAYS:
        if name not in arrays:
            return f"has no array {name}"
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if images.dtype != np.uint8 or images.ndim != 3:
            found = f"x_{part} is {images.dtype} {images.shape}, not uint8 (n, side, side)"
            scaled = images.dtype.kind == "f" and images.size and images.max() <= 1
            return f"{found}; multiply by 255 first" if scaled else found
        if not images.size:
            return f"x_{part} has no images: its shape is {images.shape}"
        if images.shape[1] != images.shape[2]:
            return f"x_{part} is {images.dtype} {images.shape}: its images are not square"
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            return f"y_{part} is {labels.dtype} {labels.shape}, not uint8 ({len(images)},)"
    train, test = arrays["x_train"].shape[1], arrays["x_test"].shape[1]
    if train != test:
        return f"x_test has images of {test}x{test} pixels, x_train of {train}x{train}"
    names = arrays.get("names", _default_names(arrays["y_train"]))
    if names.dtype.kind != "U" or names.ndim != 1 or len(set(names)) < len(names):
        return f"names is {names.dtype} {names.shape}; must be (labels,) of different texts"
    for part in ("train", "test"):
        largest = arrays[f"y_{part}"].max()
        if largest >= len(names):
            return f"y_{part} has the label {largest}; labels are 0 to {len(names) - 1}"
    return None


def doubts(data: RawData) -> Iterator[str]:
    """Sentences on what is unusual in a data set, and probably a mistake."""
    largest = int(data.x_train.max())
    if largest < 128:
        yield f"the largest value in x_train is {largest}; pixels go from 0 to 255"
    if data.x_train[:, (0, -1)].mean() > 127:
        yield "the edges of most images are bright; pixels go from 0 (paper) to 255 (ink)"
    training = {hash(image.tobytes()) for image in data.x_train}
    known = sum(hash(image.tobytes()) in training for image in data.x_test)
    if known:
        yield f"{known} of {len(data.x_test)} test images are training images, too"


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


def read(splits: Sequence[str]) -> tuple[DataSet, dict[str, Split]]:
    """Read some splits from data/prepared/.

    Raises UserError if a file does not hold a Split, or if the files do not fit each other.
    """
    content = formats.parse_json(files.read(paths.DATASET), str(paths.DATASET))
    try:
        dataset = DataSet(str(content["name"]), tuple(map(str, content["labels"])))
    except (TypeError, KeyError):
        raise UserError(f"{paths.DATASET}: not a description of a data set; {REMEDY}") from None
    found = {split: _read(split, len(dataset.labels)) for split in splits}
    pixels = {split: content.images.shape[1] for split, content in found.items()}
    for split in splits:
        if pixels[split] != pixels[splits[0]]:
            raise UserError(
                f"{paths.prepared(split)}: its images have {pixels[split]} pixels, those of "
                f"{paths.prepared(splits[0])} have {pixels[splits[0]]}; {REMEDY}"
            )
    return dataset, found


def _read(split: str, labels: int) -> Split:
    path = paths.prepared(split)
    arrays = formats.parse_arrays(files.read(path), str(path), Split._fields)
    if len(arrays) < len(Split._fields):
        raise UserError(f"{path}: must have the arrays {' and '.join(Split._fields)}; {REMEDY}")
    found = Split(**arrays)
    problem = _problem(found, labels)
    if not problem and not len(found.labels) and split != "validation":
        problem = "has no images"
    if problem:
        raise UserError(f"{path}: {problem}; {REMEDY}")
    return found


def _problem(split: Split, count: int) -> str | None:
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
    if labels.max(initial=0) >= count:
        return f"labels has the value {labels.max()}; labels are 0 to {count - 1}"
    return None
