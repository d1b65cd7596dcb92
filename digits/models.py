"""Keras models: to stable bytes, back, and their logits."""

import io
import json
import zipfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

# keras.saving calls it, and takes nothing but paths itself.
from keras.src.saving import saving_lib

from digits import layers
from digits.errors import UserError, first_line

# Entries in a model's description that Keras writes differently each time.
VOLATILE = ("date_saved", "shared_object_id")
INFERENCE_BATCH = 1000


def to_bytes(model: keras.Model) -> bytes:
    """`model` as a .keras file whose bytes depend on nothing but the model."""
    # Keras stores the time of saving, also as the dates of the zip's entries, and an address.
    dated, stable = io.BytesIO(), io.BytesIO()
    saving_lib.save_model(model, dated)
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(stable, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name.endswith(".json"):
                values = json.loads(content, object_pairs_hook=_without_volatile)
                content = json.dumps(values, sort_keys=True).encode()
            # ZipFile.open() dates an entry 1980-01-01.
            with target.open(name, "w") as member:
                member.write(content)
    return stable.getvalue()


def _without_volatile(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return {key: value for key, value in pairs if key not in VOLATILE}


def load(content: bytes, source: str, pixels: int, labels: int) -> keras.Model:
    """The model in the content of a .keras file, in Keras's safe mode.

    Raises UserError, which names `source`, if it is no such file, or if the model does not take
    images float32 (n, pixels) and give float32 (n, labels).
    """
    try:
        model = saving_lib.load_model(io.BytesIO(content), compile=False, safe_mode=True)
    except Exception as error:
        # Keras, zipfile and h5py each raise several kinds for a damaged file.
        raise UserError(f"{source}: Keras cannot load it ({first_line(error)})") from error
    check(model, source, pixels, labels)
    return model


def check(model: keras.Model, source: str, pixels: int, labels: int) -> None:
    """Raise UserError, which names `source`, if inputs or outputs of a model do not fit the data.

    They are float32 (n, pixels) and float32 (n, labels).
    """
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, pixels), (None, labels)):
        raise UserError(
            f"{source}: the model maps {shapes[0]} to {shapes[1]}, but the data set has {pixels} "
            f"pixels and {labels} labels; correct `build`, or train it again"
        )


def logits(
    model: keras.Model, portable: bool, batch_size: int = INFERENCE_BATCH
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images float32 (n, pixels) to logits float32 (n, labels).

    Logits are the values before a last softmax or sigmoid.
    """

    # Other code than XLA's may differ in the last bits from processor to processor. AutoGraph has
    # nothing to do here, and would take half a second.
    @tf.function(jit_compile=True, autograph=False)
    def forward(images: tf.Tensor) -> tf.Tensor:
        outputs = layers.forward(model, images, portable)
        # Where Keras's own cross-entropy finds them.
        return getattr(outputs, "_keras_logits", outputs)

    def compute(images: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, max(1, len(images)), batch_size):
            batch = images[start : start + batch_size]
            # XLA would compile another function for each number of images.
            padded = np.pad(batch, [(0, batch_size - len(batch)), (0, 0)])
            found.append(forward(tf.constant(padded)).numpy()[: len(batch)])
        return np.concatenate(found)

    return compute


def linear_kernel(model: keras.Model) -> np.ndarray | None:
    """The weights, float32 (pixels, labels), of a model that is a single dense layer."""
    dense = [type(layer) is keras.layers.Dense for layer in model.layers]
    return np.asarray(model.layers[0].kernel) if dense == [True] else None
