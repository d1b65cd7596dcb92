"""Compute Keras layers with the same bits on every processor, in training and afterwards."""

# XLA is told to be portable (see runtime.py), and matrix products then are. A few layers need to be
# written as such products; all others run as Keras has them.

from typing import Any

import keras
import tensorflow as tf
from keras.layers import Activation, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, ReLU, Reshape
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_optimization_barrier

# `forward` reimplements these layers, with these settings only.
COMPUTED = (Conv2D, Dense, Dropout)
SETTINGS = {
    "activity_regularizer": None,
    "data_format": "channels_last",
    "dilation_rate": (1, 1),
    "groups": 1,
    "noise_shape": None,
    "strides": (1, 1),
}
# These layers are already portable in Keras.
PORTABLE = (Activation, Flatten, MaxPooling2D, ReLU, Reshape)


def forward(
    model: keras.Model, inputs: tf.Tensor, portable: bool, dropout_seed: tf.Tensor | None = None
) -> tf.Tensor:
    """Compute the outputs of a model for inputs float32 (n, ...).

    With `dropout_seed`, int64 (2,), it is in training. Only a Sequential model can be portable.
    """
    training = dropout_seed is not None
    if not portable or not isinstance(model, keras.Sequential):
        return model(inputs, training=training)
    for number, layer in enumerate(model.layers):
        if not _is_computed(layer):
            inputs = layer(inputs, training=training)
        elif isinstance(layer, Dropout):
            if dropout_seed is not None:
                inputs = dropout(inputs, layer.rate, dropout_seed + number)
        else:
            if isinstance(layer, Conv2D):
                inputs = im2col(inputs, layer)
            outputs = matmul(inputs, tf.reshape(layer.kernel.value, (-1, layer.kernel.shape[-1])))
            inputs = layer.activation(outputs + layer.bias if layer.use_bias else outputs)
    return inputs


def unportable(model: keras.Model) -> list[str]:
    """Return the classes of the layers that may give different bits on other machines."""
    if not isinstance(model, keras.Sequential):
        return [type(model).__name__]
    layers = [layer for layer in model.layers if type(layer) not in PORTABLE]
    return sorted({type(layer).__name__ for layer in layers if not _is_computed(layer)})


def _is_computed(layer: keras.Layer) -> bool:
    return type(layer) in COMPUTED and all(
        getattr(layer, name, value) == value for name, value in SETTINGS.items()
    )


def matmul(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Multiply inputs @ kernel, float32 (n, ..., m) by (m, k), with a gradient that is fast."""

    @tf.custom_gradient
    def multiply(rows: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # XLA would fold the transposition into the product, which its portable library then
            # declines, and a slower one takes over. The barrier keeps the two steps apart.
            (transposed,) = xla_optimization_barrier([tf.transpose(rows)])
            return tf.matmul(upstream, kernel, transpose_b=True), tf.matmul(transposed, upstream)

        return tf.matmul(rows, kernel), gradient

    outputs = multiply(tf.reshape(inputs, (-1, kernel.shape[0])), kernel)
    return tf.reshape(outputs, (-1, *inputs.shape[1:-1], kernel.shape[1]))


def im2col(images: tf.Tensor, layer: Conv2D) -> tf.Tensor:
    """Return the patches of images float32 (n, height, width, channels) that `layer` multiplies."""
    # XLA's own convolution is slower, and its bits depend on the number of threads.
    rows, columns = layer.kernel_size
    if layer.padding == "same":
        # TensorFlow pads like this for strides of 1: the remainder goes below and to the right.
        margins = [[(size - 1) // 2, size // 2] for size in (rows, columns)]
        images = tf.pad(images, [[0, 0], *margins, [0, 0]])
    height, width = images.shape[1] - rows + 1, images.shape[2] - columns + 1
    shifted = [
        images[:, row : row + height, column : column + width]
        for row in range(rows)
        for column in range(columns)
    ]
    return tf.concat(shifted, axis=-1)


def dropout(inputs: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Set a fraction `rate` of the inputs, chosen by `seed`, to 0 and scale up the rest."""
    # XLA's default generator of random numbers takes 17 times as long as this one.
    chances = tf.random.stateless_uniform(tf.shape(inputs), seed, alg="threefry")
    return tf.where(chances >= rate, inputs / (1 - rate), 0.0)
