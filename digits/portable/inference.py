"""Compute the outputs of a model, and the weights of a linear one."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from digits.portable import layers

BATCH_SIZE = 1000


def logits(
    model: keras.Model, portable: bool, batch_size: int = BATCH_SIZE
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from images float32 (n, pixels) to logits float32 (n, labels).

    Logits are the values before a last softmax or sigmoid.
    """

    # Code not compiled by XLA may differ in the last bits between processors. AutoGraph has nothing
    # to do here, and would take half a second.
    @tf.function(jit_compile=True, autograph=False)
    def forward(images: tf.Tensor) -> tf.Tensor:
        outputs = layers.forward(model, images, portable)
        # Where Keras's own cross-entropy finds them.
        return getattr(outputs, "_keras_logits", outputs)

    def compute(images: np.ndarray) -> np.ndarray:
        logits = []
        for start in range(0, max(1, len(images)), batch_size):
            batch = images[start : start + batch_size]
            # XLA would compile a function for each number of images.
            padded = np.pad(batch, [(0, batch_size - len(batch)), (0, 0)])
            logits.append(forward(tf.constant(padded)).numpy()[: len(batch)])
        return np.concatenate(logits)

    return compute


def saturated(model: keras.Model, logits: np.ndarray) -> int:
    """Count the images whose largest logit, of float32 (n, labels), is not the largest output.

    Several sigmoids of large logits are exactly 1.
    """
    activate = getattr(model.layers[-1], "activation", keras.activations.linear)
    outputs = np.asarray(activate(tf.constant(logits)))
    return int(np.sum(outputs.argmax(axis=1) != logits.argmax(axis=1)))


def linear_kernel(model: keras.Model) -> np.ndarray | None:
    """Return the weights, float32 (pixels, labels), of a model that is a single dense layer."""
    dense = [type(layer) is keras.layers.Dense for layer in model.layers]
    return np.asarray(model.layers[0].kernel) if dense == [True] else None
