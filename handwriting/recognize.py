"""The models' answers."""

from collections.abc import Callable, Mapping

import numpy as np

from digits import files, metrics, model_files, params, paths, runtime, splits
from digits.errors import UserError
from digits.model_files import Layer
from handwriting.preprocess import SIDE

# XLA compiles once for each number of images, so all calls pass the same number.
BATCH = 100

# The mean of the models' probabilities for one label. Of 1,000 simulated photographs of MNIST's
# test images (tests/photographs.py, seed 7), 98 had less, and the hidden model read 89.8% of these
# correctly, of the others 99.3%.
MIN_SURE = 0.8

# From images uint8 (n, 28, 28) to each model's probabilities float64 (n, 10).
Recognizer = Callable[[np.ndarray], dict[str, np.ndarray]]


def read(rev: str = "") -> dict[str, list[Layer]]:
    """The layers of both models: of a branch, tag, commit or experiment, or else of the workspace.

    Raises UserError if there is no such revision, or no usable model of it.
    """
    content = _at_revision(rev) if rev else _in_workspace()
    source = f"{rev}: " if rev else ""
    return {
        name: model_files.parse(content[name], f"{source}{paths.model(name)}", name, SIDE**2)
        for name in paths.MODELS
    }


def start(layers: Mapping[str, list[Layer]], batch: int = BATCH) -> Recognizer:
    """Start TensorFlow; return a function that gives the probabilities of each model.

    It is compiled for `batch` images at a time; more are divided.
    """
    runtime.start(params.load(params.Runtime).portable)
    from digits import models

    logits = {name: models.compiled_logits(found) for name, found in layers.items()}

    def recognize(images: np.ndarray) -> dict[str, np.ndarray]:
        n = len(images)
        padded = np.zeros((-(-n // batch), batch, SIDE, SIDE), np.uint8)
        padded.reshape(-1, SIDE, SIDE)[:n] = images
        return {
            name: np.concatenate([metrics.softmax(of(splits.scale(part))) for part in padded])[:n]
            for name, of in logits.items()
        }

    return recognize


def unsure(probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
    """For each image, whether the models together are unsure: bool (n,).

    Takes each model's probabilities float64 (n, labels).
    """
    together: np.ndarray = np.mean(list(probabilities.values()), axis=0)
    doubtful: np.ndarray = together.max(axis=1) < MIN_SURE
    return doubtful


def _in_workspace() -> dict[str, bytes]:
    try:
        return {name: files.read(paths.model(name)) for name in paths.MODELS}
    except UserError as error:
        raise UserError(f"{error}; get it with dvc pull, or train it with dvc repro") from None


def _at_revision(rev: str) -> dict[str, bytes]:
    # DVC takes a second to import.
    from tools import revisions

    revision = revisions.find(rev)
    return {name: revisions.read(revision, paths.model(name)) for name in paths.MODELS}
