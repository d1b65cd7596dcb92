"""Models that compute: from the layers in a .keras file to compiled inference."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from digits.model_files import Layer

INFERENCE_BATCH = 1000


def build(layers: Sequence[Layer]) -> keras.Sequential:
    """The Keras model that `layers`, read by `model_files`, describe."""
    model = keras.Sequential(
        [
            keras.Input((len(layers[0].kernel),), name="pixels"),
            *(
                keras.layers.Dense(len(layer.bias), layer.activation, name=layer.name)
                for layer in layers
            ),
        ]
    )
    model.set_weights([array for layer in layers for array in (layer.kernel, layer.bias)])
    return model


def compiled_logits(layers: Sequence[Layer]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images float32 (n, pixels) to logits float32 (n, CLASSES).

    Logits are the last layer's values before its activation. XLA compiles the function, since what
    it has not compiled may differ in the last bits from processor to processor.
    """
    *hidden, last = layers
    forward = tf.function(build([*hidden, last._replace(activation="linear")]), jit_compile=True)

    def logits(images: np.ndarray) -> np.ndarray:
        batches = np.split(images, range(INFERENCE_BATCH, len(images), INFERENCE_BATCH))
        return np.concatenate([forward(tf.constant(batch)).numpy() for batch in batches])

    return logits
