"""Byte-stable saving and safe loading of .keras files, and compiled inference."""

import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stages.lib import files
from stages.lib.errors import UserError
from stages.lib.splits import CLASSES

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# What Keras writes differently each time.
VOLATILE = ("date_saved", "shared_object_id")
# The widest hidden layer that params.yaml allows takes 32 MB.
LARGEST_UNPACKED_BYTES = 256 * 2**20
INFERENCE_BATCH = 1000


def save(model: keras.Sequential, path: Path) -> None:
    """Write `model` as a .keras file whose bytes depend on nothing but the model.

    Keras notes the time of saving, as the dates of the zip's entries too, and a memory address.
    None of them is kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        dated = Path(folder, path.name)
        keras.saving.save_model(model, dated)
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

    Raises UserError if the file is absent or damaged, holds anything but Keras's own layers, or
    a model of another input width or number of classes.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_unsafe(archive)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # Keras, h5py, zipfile and json each raise several kinds for a damaged file.
        raise UserError(f"{path}: not a usable Keras model ({files.first_line(error)})") from error
    if not isinstance(model.layers[-1], keras.layers.Dense):
        raise UserError(f"{path}: the model's last layer is not a Dense layer")
    for what, shape, wanted in (
        ("takes", model.input_shape, (None, pixels)),
        ("gives", model.output_shape, (None, CLASSES)),
    ):
        if shape != wanted:
            raise UserError(f"{path}: the model {what} arrays of shape {shape}, not {wanted}")
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


def _refuse_unsafe(archive: zipfile.ZipFile) -> None:
    """Raise ValueError unless the archive holds just a model made of Keras's own parts."""
    unknown = set(archive.namelist()) - {CONFIG, METADATA, WEIGHTS}
    if unknown:
        raise ValueError(f"it holds {min(unknown)!r}, which is no part of a model")
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST_UNPACKED_BYTES:
        raise ValueError(f"unpacked it is larger than {LARGEST_UNPACKED_BYTES // 2**20} MB")
    _refuse_custom(json.loads(archive.read(CONFIG)))


def _refuse_custom(config: Any) -> None:
    if isinstance(config, dict):
        module = config.get("module")
        if config.get("class_name") == "Lambda" or config.get("registered_name"):
            raise ValueError(f"it holds code or a custom object: {config.get('class_name')}")
        if module is not None and str(module).split(".")[0] != "keras":
            raise ValueError(f"it needs the module {module!r}, which is not Keras's")
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            _refuse_custom(item)
