"""Raw data sets (data/raw/), and the images that the stages pass on (data/prepared/)."""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, PositiveInt

from digits.plumbing import files, paths
from digits.plumbing.errors import UserError
from digits.portable import formats


class RawData(NamedTuple):
    """A raw data set: images uint8, labels uint8 or uint16 (n,), and a name per label.

    Images are (n, height, width) or (n, height, width, channels).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    names: tuple[str, ...]


class Split(NamedTuple):
    """Images float32 (n, pixels) in [0, 1] and labels uint8 or uint16 (n,), from 0."""

    images: np.ndarray
    labels: np.ndarray


class Description(BaseModel):
    """data/prepared/dataset.json: the names of a data set and its labels, and an image's shape."""

    name: str
    labels: tuple[str, ...]
    # Earlier versions took images of this shape alone, and did not write it.
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=3)] = (28, 28)


class Dataset(NamedTuple):
    """A prepared data set: its name, the names of its labels, an image's shape, and some splits.

    The shape is (height, width) or (height, width, channels); in the splits, images are flat.
    """

    name: str
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    splits: dict[str, Split]

    @property
    def num_pixels(self) -> int:
        return math.prod(self.shape)

    @property
    def num_labels(self) -> int:
        return len(self.labels)


def read_raw(name: str) -> RawData:
    """Read data/raw/`name`.npz. Raises UserError if it does not hold a raw data set.

    Without an array `names` the labels are called "0", "1", ... up to the largest in training.
    """
    path = paths.raw(name)
    arrays = formats.parse_arrays(files.read(path), str(path), RawData._fields)
    for problem in _problems(arrays):
        raise UserError(f"{path}: {problem}")
    names = tuple(map(str, arrays.pop("names")))
    return RawData(**arrays, names=names)


def _problems(arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """Yield problems in a raw data set, and name its labels if it does not.

    Stop at the first: later checks assume it is solved.
    """
    yield from (f"has no array {name}" for name in RawData._fields[:4] if name not in arrays)
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
            scaled = images.dtype.kind == "f" and images.max(initial=0) <= 1
            remedy = "; multiply by 255 first" if scaled else ""
            wanted = f"uint8 (n, height, width) or (n, height, width, channels){remedy}"
            yield f"x_{part} is {images.dtype} {images.shape}, not {wanted}"
        if labels.dtype not in (np.uint8, np.uint16) or labels.shape != images.shape[:1]:
            yield f"y_{part} is {labels.dtype} {labels.shape}, not uint8 or uint16 ({len(images)},)"
    train, test = arrays["x_train"].shape[1:], arrays["x_test"].shape[1:]
    if train != test:
        yield f"x_test has images of shape {test}, x_train of {train}"
    numbers = np.arange(int(arrays["y_train"].max()) + 1)
    names = arrays.setdefault("names", numbers.astype(str))
    printable = names.dtype.kind == "U" and all(name and name.isprintable() for name in names.flat)
    if not printable or names.ndim != 1 or len(set(names)) < len(names):
        wanted = "unique, printable strings of shape (labels,)"
        yield f"names must be {wanted}, not {names.dtype} {names.shape}"
    for part in ("train", "test"):
        largest = arrays[f"y_{part}"].max()
        if largest >= len(names):
            yield f"y_{part} has the label {largest}; labels are 0 to {len(names) - 1}"


def data_warnings(data: RawData) -> Iterator[str]:
    """Yield warnings of probable mistakes in a data set."""
    largest = int(data.x_train.max())
    if largest < 128:
        yield f"the largest value in x_train is {largest}; pixels go from 0 to 255"
    if data.x_train.ndim == 3 and data.x_train[:, (0, -1)].mean() > 127:
        yield "the edges of most images are bright; pixels go from 0 (paper) to 255 (ink)"
    counts = np.bincount(data.y_train, minlength=len(data.names))
    if missing := [data.names[label] for label in np.flatnonzero(counts == 0)[:5]]:
        hint = "; labels start from 0" if counts[0] == 0 else ""
        yield f"no training image has the label {' or '.join(missing)}{hint}"
    training = {hash(image.tobytes()) for image in data.x_train}
    known = sum(hash(image.tobytes()) in training for image in data.x_test)
    if known:
        yield f"{known} of {len(data.x_test)} test images are also training images"


def split_indices(n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide 0 to n-1 into those to train on and `size` held out by `seed`: int64, ascending."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[size:]), np.sort(order[:size])


def scale(images: np.ndarray) -> np.ndarray:
    """Flatten and scale: uint8 (n, height, width, ...) -> float32 (n, pixels) in [0, 1]."""
    return images.reshape(len(images), math.prod(images.shape[1:])) / np.float32(255)


def describe(content: bytes, source: str) -> Description:
    """Parse a dataset.json. Raises UserError, which names `source`, if it is not one."""
    return formats.parse(Description.model_validate_json, content, source)


def read(splits: Sequence[str]) -> Dataset:
    """Read some splits from data/prepared/. Raises UserError if a file is missing or damaged."""
    description = describe(files.read(paths.DATASET), str(paths.DATASET))
    dataset = Dataset(**description.model_dump(), splits={})
    for name in splits:
        path = paths.prepared(name)
        arrays = formats.parse_arrays(files.read(path), str(path), Split._fields)
        images, labels = (arrays.get(field, np.empty(0)) for field in Split._fields)
        if (
            images.dtype != np.float32
            or labels.dtype not in (np.uint8, np.uint16)
            or images.shape != (len(labels), dataset.num_pixels)
            or labels.ndim != 1
            or labels.max(initial=0) >= dataset.num_labels
            or (name != "validation" and not len(labels))
        ):
            fit = f"images (float32) and labels (uint8) do not fit each other and {paths.DATASET}"
            raise UserError(f"{path}: {fit}; run dvc repro --force prepare")
        dataset.splits[name] = Split(images, labels)
    return dataset
