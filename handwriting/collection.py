"""Keep images with their labels, as FOLDER/LABEL/HASH.png; score them, add them to data sets."""

import hashlib
import io
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
from PIL import Image

from digits import data, metrics
from digits.data import RawData
from digits.plumbing import files, paths
from digits.plumbing.errors import UserError, first_line
from handwriting.preprocess import SIDE

NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def png_bytes(image: np.ndarray) -> bytes:
    """Return an image, uint8 (height, width), as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 image" or "2 images"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def check_label(label: str, labels: Sequence[str]) -> None:
    """Raise UserError if it is not one of the labels."""
    if label not in labels:
        raise UserError(f"{label}: not a label; labels are {', '.join(labels)}")


def keep(image: np.ndarray, label: str | None, folder: Path) -> tuple[Path | None, str | None]:
    """Store an image, uint8 (28, 28), under its label alone; None removes it.

    Return its path, and the label that it had before.
    """
    # The same image is one file.
    name = f"{hashlib.sha256(image.tobytes()).hexdigest()[:16]}.png"
    before = list(folder.glob(f"*/{name}"))
    path = None if label is None else _folder(folder, label) / name
    if path:
        files.write(path, png_bytes(image))
    for other in before:
        if other != path:
            other.unlink()
    return path, unquote(before[0].parent.name) if before else None


def read(folder: Path, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the kept images, uint8 (n, 28, 28), and labels, uint8 (n,), by label and name; n > 0.

    Dark digits on light are inverted. Raises UserError if there are no images, or if a file under a
    label is of a different kind.
    """
    kept = [
        (path, number)
        for number, label in enumerate(labels)
        for path in sorted(_folder(folder, label).glob("*.png"))
    ]
    if not kept:
        command = f"python -m handwriting PICTURE --label {labels[-1]} --keep {folder}"
        raise UserError(f"{folder}: no images kept here; keep some: {command}")
    others = sum(path.is_file() for path in folder.rglob("*")) - len(kept)
    if others:
        print(f"{folder}: files that --keep did not write: {others}", file=sys.stderr)
    images = np.stack([_image(path) for path, _ in kept])
    # The corners of MNIST's images are black.
    light = images[:, :: SIDE - 1, :: SIDE - 1].mean(axis=(1, 2)) > 127
    images[light] = 255 - images[light]
    if light.any():
        print(f"{folder}: inverted {counted(light.sum(), 'image')}: dark on light", file=sys.stderr)
    return images, np.array([label for _, label in kept], np.uint8)


def report(
    probabilities: Mapping[str, np.ndarray], labels: np.ndarray, names: Sequence[str]
) -> list[str]:
    """Return lines with each model's accuracy on n > 0 images, and the labels that it confuses.

    Take each model's probabilities float64 (n, labels), labels uint8 (n,) and their names.
    """
    lines = []
    for name, values in probabilities.items():
        predicted = values.argmax(axis=1)
        wrong = predicted != labels
        n, correct = len(labels), np.sum(~wrong)
        low, high = metrics.proportion_ci95(correct, np.array(n))
        accuracy = f"accuracy {correct / n:.3f} ({correct} of {n})"
        lines.append(f"{name}: {accuracy}, 95% interval {low:.3f} to {high:.3f}")
        confused = Counter(zip(labels[wrong], predicted[wrong], strict=True))
        lines += [
            f"  {names[label]} read as {names[other]}: {count}"
            for (label, other), count in confused.most_common()
        ]
    return lines


def added(folder: Path, dataset: str) -> tuple[RawData, int]:
    """Return a data set with the kept images added to its training images, and their number.

    Raises UserError as `data.read_raw` and `read` do, or if its images have a different size.
    """
    raw = data.read_raw(dataset)
    shape, own = raw.x_train.shape[1:], (SIDE, SIDE)
    if shape != own:
        raise UserError(f"{paths.raw(dataset)}: its images have the shape {shape}, not {own}")
    images, labels = read(folder, raw.names)
    x_train = np.concatenate([raw.x_train, images])
    y_train = np.concatenate([raw.y_train, labels])
    return raw._replace(x_train=x_train, y_train=y_train), len(labels)


def _folder(folder: Path, label: str) -> Path:
    # A label may be "T-shirt/top", or "..".
    return folder / quote(label, safe=" ").replace(".", "%2E")


def check_name(name: str) -> None:
    """Raise UserError if a new data set cannot be called `name`, as if there is one already."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name}: not a name for a data set; use letters, digits, - and _")
    for path in (paths.raw(name), Path(f"{paths.raw(name)}.dvc")):
        if path.exists():
            raise UserError(f"{path} already exists; use a different name, or remove it first")


def _image(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.size == (SIDE, SIDE) and image.mode == "L":
                return np.asarray(image)
    except Exception as error:
        # A damaged file raises any of several kinds.
        raise UserError(f"{path}: not a readable PNG file ({first_line(error)})") from None
    raise UserError(f"{path}: not a 28x28 grayscale PNG, as --keep writes")
