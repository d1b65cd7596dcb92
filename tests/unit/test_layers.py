"""Layers that are computed here give the values of Keras's own, and the same bits everywhere."""

from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as k

from digits.portable import layers

PICTURES = np.random.default_rng(0).random((5, 8, 7, 3), np.float32)


def model(*stack: Any, shape: tuple[int, ...] = PICTURES.shape[1:]) -> Any:
    keras.utils.set_random_seed(1)
    built = keras.Sequential([keras.Input(shape), *stack])
    # Biases start at zero, where they would show nothing.
    built.set_weights([values + 0.1 for values in built.get_weights()])
    return built


def outputs_and_gradients(built: Any, portable: bool) -> list[np.ndarray]:
    @tf.function(jit_compile=portable)
    def compute(values: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = layers.forward(built, values, portable)
            loss = tf.reduce_sum(outputs**2)
        return [outputs, *tape.gradient(loss, [values, *built.trainable_variables])]

    return [values.numpy() for values in compute(tf.constant(PICTURES))]


def stacks() -> dict[str, list[Any]]:
    return {
        "dense": [k.Flatten(), k.Dense(4, "relu"), k.Dense(3, "softmax")],
        "dense on pictures": [k.Dense(4, "tanh", use_bias=False), k.Dense(2)],
        "valid": [k.Conv2D(4, 3, activation="relu"), k.MaxPooling2D(), k.Flatten()],
        "same": [k.Conv2D(4, (3, 5), padding="same"), k.Conv2D(2, 1, use_bias=False)],
        "even": [k.Conv2D(4, (2, 4), padding="same"), k.Conv2D(2, 2)],
        "inference": [k.Dropout(0.5), k.RandomZoom(0.5), k.Reshape((8, 21)), k.Activation("relu")],
        "normalization": [k.BatchNormalization(), k.BatchNormalization(center=False, scale=False)],
        "as in Keras": [k.Conv2D(3, 3, strides=2, groups=3), k.LayerNormalization()],
    }


def test_outputs_and_gradients_are_those_of_keras() -> None:
    # The same weights, whatever ran before in this process.
    keras.utils.set_random_seed(1)
    for name, stack in stacks().items():
        built = model(*stack)
        ours, stock = (outputs_and_gradients(built, portable) for portable in (True, False))
        for found, expected in zip(ours, stock, strict=True):
            # Small gradients are sums of large terms.
            atol = 1e-5 * max(5, np.abs(expected).max())
            np.testing.assert_allclose(found, expected, atol=atol, rtol=5e-5, err_msg=name)


def test_layers_whose_bits_may_differ_elsewhere_are_named() -> None:
    for name, stack in stacks().items():
        named = ["Conv2D", "LayerNormalization"] if name == "as in Keras" else []
        assert layers.unportable(model(*stack)) == named
    for layer in (k.Conv2D(2, 3, dilation_rate=2), k.RandomZoom(0.1, fill_mode="wrap")):
        assert layers.unportable(model(layer)) == [type(layer).__name__]
    pixels = keras.Input((4,))
    assert layers.unportable(keras.Model(pixels, k.Dense(2)(pixels))) == ["Functional"]


def test_dropout() -> None:
    two, ones = model(k.Dropout(0.25), k.Dropout(0.5), shape=(10_000,)), tf.ones((10, 10_000))
    forward = tf.function(partial(layers.forward, two, ones, True), jit_compile=True)
    first, again, other = (forward(tf.constant([7, step], tf.int64)).numpy() for step in (1, 1, 2))
    # Each layer has a mask of its own, and the rest keeps the mean.
    assert (first == 0).mean() == pytest.approx(1 - 0.75 * 0.5, abs=0.01)
    assert first.max() == pytest.approx(1 / 0.75 / 0.5)
    np.testing.assert_array_equal(again, first)
    agreeing = ((other == 0) == (first == 0)).mean()
    assert agreeing == pytest.approx(0.375**2 + 0.625**2, abs=0.01)


@pytest.mark.parametrize(
    # Both limits are the same, so nothing is random.
    "layer",
    [
        k.RandomTranslation((0.2, 0.2), (-0.3, -0.3)),
        k.RandomTranslation((-0.9, -0.9), (0.1, 0.1), fill_mode="constant", fill_value=0.3),
        k.RandomRotation((0.06, 0.06), fill_mode="constant"),
        k.RandomZoom((-0.3, -0.3), (0.2, 0.2)),
        k.RandomZoom((0.4, 0.4)),
    ],
)
def test_random_transformations_are_those_of_keras(layer: Any) -> None:
    seed = tf.constant([1, 2], tf.int64)
    forward = tf.function(partial(layers.forward, model(layer)), jit_compile=True)
    found = forward(tf.constant(PICTURES), True, seed).numpy()
    np.testing.assert_allclose(found, layer(PICTURES, training=True), atol=1e-5)


def test_each_image_and_each_step_has_a_random_transformation_of_its_own() -> None:
    pictures = tf.repeat(PICTURES[:1], 4, axis=0)
    shifts = partial(layers.forward, model(k.RandomTranslation(0.3, 0.3)), pictures)
    forward = tf.function(shifts, jit_compile=True)
    first, again, other = (forward(True, tf.constant([7, step], tf.int64)) for step in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(np.concatenate([first, other]), axis=0)) == 8
