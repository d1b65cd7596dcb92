"""Compute Keras layers with the same bits on every processor, in training and afterwards."""

# XLA is told to be portable (see runtime.py), and matrix products then are. A few layers need to be
# written in other words; all others run as Keras has them.

from collections.abc import Callable
from itertools import product
from math import pi
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_optimization_barrier

# These layers are already portable in Keras.
PORTABLE = (layers.Activation, layers.Flatten, layers.MaxPooling2D, layers.ReLU, layers.Reshape)
# `forward` reimplements the layers in COMPUTED, below, with these settings only.
SETTINGS = {
    "activity_regularizer": (None,),
    "axis": (-1,),
    "data_format": ("channels_last",),
    "dilation_rate": ((1, 1),),
    "fill_mode": ("constant", "reflect"),
    "groups": (1,),
    "interpolation": ("bilinear",),
    "noise_shape": (None,),
    "renorm": (False,),
    "strides": ((1, 1),),
    "synchronized": (False,),
}


def forward(
    model: keras.Model, inputs: tf.Tensor, portable: bool, seed: tf.Tensor | None = None
) -> tf.Tensor:
    """Compute the outputs of a model for inputs float32 (n, ...).

    With `seed`, int64 (2,), it is in training. Only a Sequential model can be portable.
    """
    if not isinstance(model, keras.Sequential):
        return model(inputs, training=seed is not None)
    for number, layer in enumerate(model.layers):
        # Keras's own random numbers are slow, and XLA cannot compile its transformations.
        if is_computed(layer) and (portable or COMPUTED[type(layer)] in (augment, dropout)):
            own_seed = None if seed is None else seed + number
            inputs = COMPUTED[type(layer)](inputs, layer, own_seed)
        else:
            inputs = layer(inputs, training=seed is not None)
    return inputs


def unportable(model: keras.Model) -> list[str]:
    """Return the classes of the layers that may give different bits on other machines."""
    if not isinstance(model, keras.Sequential):
        return [type(model).__name__]
    others = [layer for layer in model.layers if type(layer) not in PORTABLE]
    return sorted({type(layer).__name__ for layer in others if not is_computed(layer)})


def separates_images(model: keras.Model) -> bool:
    """Return whether no image can change the outputs for the rest of its batch."""
    return not unportable(model) and layers.BatchNormalization not in map(type, model.layers)


def is_computed(layer: keras.Layer) -> bool:
    """Return whether `forward` reimplements a layer with its settings."""
    return type(layer) in COMPUTED and all(
        getattr(layer, name, allowed[0]) in allowed for name, allowed in SETTINGS.items()
    )


def dense(inputs: tf.Tensor, layer: keras.Layer, _: tf.Tensor | None) -> tf.Tensor:
    """Compute a dense layer, or a convolution as a product of patches."""
    if isinstance(layer, layers.Conv2D):
        inputs = im2col(inputs, layer)
    outputs = matmul(inputs, tf.reshape(layer.kernel.value, (-1, layer.kernel.shape[-1])))
    return layer.activation(outputs + layer.bias if layer.use_bias else outputs)


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


def im2col(images: tf.Tensor, layer: keras.Layer) -> tf.Tensor:
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


def uniform(shape: Any, seed: tf.Tensor) -> tf.Tensor:
    """Draw numbers float32 in [0, 1), chosen by `seed`."""
    # XLA's default generator of random numbers takes 17 times as long as this one.
    return tf.random.stateless_uniform(shape, seed, alg="threefry")


def dropout(inputs: tf.Tensor, layer: keras.Layer, seed: tf.Tensor | None) -> tf.Tensor:
    """In training, set a fraction of the inputs to 0 and scale up the rest."""
    if seed is None:
        return inputs
    chosen = uniform(tf.shape(inputs), seed) >= layer.rate
    return tf.where(chosen, inputs / (1 - layer.rate), 0.0)


def normalize(inputs: tf.Tensor, layer: keras.Layer, seed: tf.Tensor | None) -> tf.Tensor:
    """Normalize each feature by mean and variance: in training, those of the batch."""
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    if seed is not None and layer.trainable:
        mean, variance = tf.nn.moments(inputs, [*range(len(inputs.shape) - 1)])
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
    # Keras's `rsqrt` is not the same on all processors.
    outputs = (inputs - mean) / tf.sqrt(variance + layer.epsilon)
    outputs = outputs * layer.gamma if layer.scale else outputs
    return outputs + layer.beta if layer.center else outputs


def augment(images: tf.Tensor, layer: keras.Layer, seed: tf.Tensor | None) -> tf.Tensor:
    """In training, rotate, shift or zoom each image, float32 (n, height, width, channels)."""
    if seed is None:
        return images
    rotation = isinstance(layer, layers.RandomRotation)
    limits = [layer.factor if rotation else (layer.height_lower, layer.height_upper)]
    # With one factor, height and width are zoomed alike.
    if getattr(layer, "width_factor", None) is not None:
        limits.append((layer.width_lower, layer.width_upper))
    draws = tf.unstack(uniform((len(limits), tf.shape(images)[0], 1, 1), seed))
    by = [low + (high - low) * draw for (low, high), draw in zip(limits, draws, strict=True)]
    height, width = images.shape[1:3]
    size = tf.constant([height, width], tf.float32)
    # Each pixel of the new image, counted from the middle, comes from y and x in the old one.
    y, x = tf.meshgrid(*(tf.range(float(n)) - (n - 1) / 2 for n in (height, width)), indexing="ij")
    if rotation:
        sine, cosine = tf.sin(2 * pi * by[0]), tf.cos(2 * pi * by[0])
        y, x = sine * x + cosine * y, cosine * x - sine * y
    elif isinstance(layer, layers.RandomZoom):
        y, x = y * (1 + by[0]), x * (1 + by[-1])
    else:
        y, x = y - height * by[0], x - width * by[1]
    source, outputs = tf.stack([y, x], axis=-1) + (size - 1) / 2, tf.zeros_like(images)
    for corner in product((0.0, 1.0), repeat=2):
        pixel = tf.floor(source) + corner
        weight = tf.reduce_prod(1 - tf.abs(source - pixel), axis=-1, keepdims=True)
        # Beyond its edges, an image is mirrored, or has one value everywhere.
        folded = tf.math.floormod(pixel, 2 * size)
        folded = tf.minimum(folded, 2 * size - 1 - folded)
        values = tf.gather_nd(images, tf.cast(folded, tf.int32), batch_dims=1)
        if layer.fill_mode == "constant":
            inside = tf.reduce_all(folded == pixel, axis=-1, keepdims=True)
            values = tf.where(inside, values, layer.fill_value)
        outputs += weight * values
    return outputs


COMPUTED: dict[type, Callable[[tf.Tensor, Any, tf.Tensor | None], tf.Tensor]] = {
    layers.BatchNormalization: normalize,
    layers.Conv2D: dense,
    layers.Dense: dense,
    layers.Dropout: dropout,
    layers.RandomRotation: augment,
    layers.RandomTranslation: augment,
    layers.RandomZoom: augment,
}
