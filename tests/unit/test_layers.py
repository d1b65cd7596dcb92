"""Layers that are computed here give the values of Keras's own, and the same bits everywhere."""

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PICTURES = np.random.default_rng(0).random((5, 8, 7, 3), np.float32)


def model(*layers: Any, shape: tuple[int, ...] = PICTURES.shape[1:]) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    built = keras.Sequential([keras.Input(shape), *layers])
    # Biases start at zero, where they would show nothing.
    built.set_weights([values + 0.1 for values in built.get_weights()])
    return built


def outputs_and_gradients(built: Any, portable: bool) -> list[np.ndarray]:
    import tensorflow as tf

    from digits import layers

    @tf.function(jit_compile=portable)
    def compute(values: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = layers.forward(built, values, portable)
            loss = tf.reduce_sum(outputs**2)
        return [outputs, *tape.gradient(loss, [values, *built.trainable_variables])]

    return [values.numpy() for values in compute(tf.constant(PICTURES))]


def stacks() -> dict[str, list[Any]]:
    from keras import layers

    return {
        "dense": [layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(3, "softmax")],
        "dense on pictures": [layers.Dense(4, "tanh", use_bias=False), layers.Dense(2)],
        "valid": [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()],
        "same": [layers.Conv2D(4, (3, 5), padding="same"), layers.Conv2D(2, 1, use_bias=False)],
        "even": [layers.Conv2D(4, (2, 4), padding="same"), layers.Conv2D(2, 2)],
        "no training": [layers.Dropout(0.5), layers.Reshape((8, 21)), layers.Activation("relu")],
        "as in Keras": [layers.Conv2D(3, 3, strides=2, groups=3), layers.LayerNormalization()],
    }


def test_outputs_and_gradients_are_those_of_keras() -> None:
    for name, stack in stacks().items():
        built = model(*stack)
        ours, stock = (outputs_and_gradients(built, portable) for portable in (True, False))
        for found, expected in zip(ours, stock, strict=True):
            np.testing.assert_allclose(found, expected, atol=5e-5, rtol=5e-5, err_msg=name)


def test_layers_whose_bits_may_differ_elsewhere_are_named() -> None:
    import keras
    from keras import layers as of_keras

    from digits import layers

    for name, stack in stacks().items():
        named = ["Conv2D", "LayerNormalization"] if name == "as in Keras" else []
        assert layers.unportable(model(*stack)) == named
    for layer in (of_keras.Conv2D(2, 3, dilation_rate=2), of_keras.Dropout(0.5, noise_shape=(1,))):
        assert layers.unportable(model(layer)) == [type(layer).__name__]
    pixels = keras.Input((4,))
    assert layers.unportable(keras.Model(pixels, of_keras.Dense(2)(pixels))) == ["Functional"]


def test_dropout() -> None:
    import tensorflow as tf
    from keras import layers as of_keras

    from digits import layers

    two = model(of_keras.Dropout(0.25), of_keras.Dropout(0.5), shape=(10_000,))
    ones = tf.ones((10, 10_000))

    @tf.function(jit_compile=True)
    def forward(seed: tf.Tensor) -> tf.Tensor:
        return layers.forward(two, ones, True, seed)

    def dropped(step: int) -> Any:
        return forward(tf.constant([7, step], tf.int64)).numpy()

    first = dropped(1)
    # Each layer has a mask of its own, and the rest keeps the mean.
    assert (first == 0).mean() == pytest.approx(1 - 0.75 * 0.5, abs=0.01)
    assert first.max() == pytest.approx(1 / 0.75 / 0.5)
    np.testing.assert_array_equal(dropped(1), first)
    agreeing = ((dropped(2) == 0) == (first == 0)).mean()
    assert agreeing == pytest.approx(0.375**2 + 0.625**2, abs=0.01)
