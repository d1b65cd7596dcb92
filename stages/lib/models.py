"""Byte-stable saving and safe loading of .keras files, and compiled inference."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.src.saving import saving_lib

from stages.lib import files, model_files
from stages.lib.errors import UserError
from stages.lib.model_files import CONFIG, METADATA, WEIGHTS
from stages.lib.splits import CLASSES

# What Keras writes differently each time.
VOLATILE = ("date_saved", "shared_object_id")
INFERENCE_BATCH = 1000


def save(model: keras.Sequential, path: Path) -> None:
    """Write `model` as a .keras file whose bytes depend on nothing but the model.

    Keras notes the time of saving, as the dates of the zip's entries too, and a memory address.
    None of them is kept.
    """
    dated = io.BytesIO()
    # The public function accepts paths only.
    saving_lib.save_model(model, dated)
    with (
        zipfile.ZipFile(dated) as source,
        files.atomic(path) as file,
        zipfile.ZipFile(file, "w") as target,
    ):
        for name in (CONFIG, METADATA, WEIGHTS):
            content = source.read(name)
            if name != WEIGHTS:
                stable = json.loads(content, object_hook=_without_volatile)
                content = json.dumps(stable, sort_keys=True).encode()
            # ZipFile.open() dates an entry 1980-01-01.
            with target.open(name, "w") as member:
                member.write(content)


def load(path: Path, pixels: int) -> keras.Model:
    """Open a .keras file that maps (n, pixels) to (n, CLASSES), without running code from it.

    Raises UserError if `model_files.check` does or Keras cannot open the file, and if the model has
    another input width or number of classes, or weights that are no numbers.
    """
    model_files.check(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # Keras, h5py and json each raise several kinds for a damaged file.
        raise UserError(f"{path}: not a usable Keras model ({files.first_line(error)})") from error
    if not isinstance(model, keras.Model) or not isinstance(model.layers[-1], keras.layers.Dense):
        raise UserError(f"{path}: not a model whose last layer is a Dense layer")
    for what, shape, wanted in (
        ("takes", model.input_shape, (None, pixels)),
        ("gives", model.output_shape, (None, CLASSES)),
    ):
        if shape != wanted:
            raise UserError(f"{path}: the model {what} arrays of shape {shape}, not {wanted}")
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise UserError(f"{path}: the model has weights that are no finite numbers")
    return model


def compiled_logits(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images float32 (n, pixels) to logits float32 (n, CLASSES).

    Logits are the last layer's values before its activation. `model` is changed: it gives them
    from then on. XLA compiles the function, since what it has not compiled may differ in the last
    bits from processor to processor.
    """
    model.layers[-1].activation = keras.activations.linear
    forward = tf.function(model, jit_compile=True)

    def logits(images: np.ndarray) -> np.ndarray:
        batches = np.split(images, range(INFERENCE_BATCH, len(images), INFERENCE_BATCH))
        return np.concatenate([forward(tf.constant(batch)).numpy() for batch in batches])

    return logits


def _without_volatile(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if key not in VOLATILE}
