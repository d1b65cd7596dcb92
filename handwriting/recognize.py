"""Run the models on images."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from digits import data, metrics
from digits.plumbing import params, paths
from digits.plumbing.errors import UserError
from digits.portable import runtime
from handwriting.preprocess import SIDE
from revisions import files

# The mean of the models' probabilities for one label. Of 996 simulated photographs of MNIST's test
# images (tests/photographs.py), 189 had less or were wide; the hidden model read 86.8% of these
# correctly, and 99.1% of the others.
MIN_SURE = 0.8
# The greatest width by height of one digit. Of 3,000 test images of MNIST, 125 are wider.
MAX_WIDTH = 1.1

# From images uint8 (n, 28, 28) to each model's probabilities float64 (n, labels).
Recognizer = Callable[[np.ndarray], dict[str, np.ndarray]]


class Trained(NamedTuple):
    """Models by their names, each the content of a .keras file, and the names of their labels."""

    models: dict[str, bytes]
    labels: tuple[str, ...]


def read(rev: str = files.WORKSPACE) -> Trained:
    """Read the models of a branch, tag, commit, experiment or the workspace.

    Raises UserError if there is no such revision, if its models are not those in dvc.lock, or if
    they are for images of a different shape.
    """
    revision = files.find(rev)
    description = files.describe(revision)
    if description.shape != (SIDE, SIDE):
        problem = f"images have the shape {description.shape}, but handwriting is read as 28x28"
        raise UserError(f"{rev}: its {problem} pixels: choose a different --rev or data set")
    return Trained(files.read_models(revision), description.labels)


def with_revision(here: Trained, rev: str) -> Trained:
    """Add the models of the revision, which must have the same labels, to the models of `here`."""
    other = read(rev)
    if other.labels != here.labels:
        raise UserError(f"{rev}: its models have different labels than the workspace's")
    named = {f"{name}, {rev}": content for name, content in other.models.items()}
    return Trained(here.models | named, here.labels)


def start(trained: Trained) -> Recognizer:
    """Start TensorFlow; return a function that computes the probabilities of each model.

    Raises UserError if a model is not for images of 28x28 pixels.
    """
    portable = runtime.start(params.load("runtime", runtime.Settings).portable)

    from digits.portable import inference, saving

    logits = {}
    for name, content in trained.models.items():
        model = saving.load(content, str(paths.model(name)), SIDE**2, len(trained.labels))
        # XLA compiles once for each number of images, so they are read one at a time.
        logits[name] = inference.logits(model, portable, 1)

    def recognize(images: np.ndarray) -> dict[str, np.ndarray]:
        scaled = data.scale(images)
        return {name: metrics.softmax(compute(scaled)) for name, compute in logits.items()}

    return recognize


def unsure(probabilities: Mapping[str, np.ndarray], images: Iterable[np.ndarray]) -> bool:
    """Tell whether the models doubt one of n digits, or its image may be of two digits.

    Take each model's probabilities float64 (n, labels), and the images uint8 (n, 28, 28).
    """
    together = np.mean(list(probabilities.values()), axis=0)
    ink = (np.nonzero(image) for image in images)
    wide = [np.ptp(columns) > MAX_WIDTH * np.ptp(rows) for rows, columns in ink]
    return bool((together.max(axis=1) < MIN_SURE).any() or any(wide))
