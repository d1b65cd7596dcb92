"""Images kept with their labels, FOLDER/LABEL/HASH.png, and data sets made with them."""

import hashlib
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from digits import datasets, files, paths
from digits.datasets import Digits
from digits.errors import UserError
from digits.splits import CLASSES
from handwriting.preprocess import SIDE

NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def png_bytes(image: np.ndarray) -> bytes:
    """An image, uint8 (height, width), as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def parse_label(text: str) -> int:
    """A label from 0 to 9. Raises UserError if `text` is anything else."""
    if not re.fullmatch("[0-9]", text):
        raise UserError(f"{text}: not a label; labels are 0 to {CLASSES - 1}")
    return int(text)


def keep(image: np.ndarray, label: int, folder: Path) -> Path:
    """Store an image, uint8 (28, 28), under its label; return the path.

    Its name is a hash of its pixels, so the same image is one file. The same image under another
    label is removed.
    """
    name = f"{hashlib.sha256(image.tobytes()).hexdigest()[:16]}.png"
    path = folder / str(label) / name
    files.write(path, png_bytes(image))
    for other in range(CLASSES):
        if other != label:
            (folder / str(other) / name).unlink(missing_ok=True)
    return path


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The kept images, uint8 (n, 28, 28), and labels, uint8 (n,), by label and name; n > 0.

    Raises UserError if there are none, or if a file under a label is no such image.
    """
    found = [
        (path, label)
        for label in range(CLASSES)
        for path in sorted((folder / str(label)).glob("*.png"))
    ]
    if not found:
        raise UserError(
            f"{folder}: no images kept here; "
            f"keep some: python -m handwriting PICTURE --label 7 --keep {folder}"
        )
    images = np.stack([_image(path) for path, _ in found])
    return images, np.array([label for _, label in found], np.uint8)


def added(folder: Path, dataset: str) -> tuple[Digits, int]:
    """A data set with the kept images added to its training images, and their number.

    The test images stay. Raises UserError as `datasets.read` and `read` do, or if the images of the
    data set have another size.
    """
    digits = datasets.read(dataset)
    side = digits.x_train.shape[1]
    if side != SIDE:
        raise UserError(
            f"{paths.raw(dataset)}: its images have {side}x{side} pixels, the kept ones 28x28"
        )
    images, labels = read(folder)
    x_train = np.concatenate([digits.x_train, images])
    y_train = np.concatenate([digits.y_train, labels])
    return digits._replace(x_train=x_train, y_train=y_train), len(labels)


def check_name(name: str) -> None:
    """Raise UserError if a new data set cannot be called `name`, as if there is one already."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name}: not a name for a data set; use letters, digits, - and _")
    for path in (paths.raw(name), Path(f"{paths.raw(name)}.dvc")):
        if path.exists():
            raise UserError(f"{path}: exists already; use another name, or remove it first")


def _image(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.size == (SIDE, SIDE) and image.mode == "L":
                return np.asarray(image)
    except Exception as error:
        # A damaged file raises any of several kinds.
        raise UserError(f"{path}: not a readable PNG file ({files.first_line(error)})") from None
    raise UserError(f"{path}: not an image of 28x28 gray pixels; --keep makes such images")
