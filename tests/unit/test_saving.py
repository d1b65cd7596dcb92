"""Models come back as they were, and are refused where they do not fit."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from digits import metrics
from digits.plumbing.errors import UserError
from digits.portable import inference, saving

IMAGES = np.random.default_rng(0).random((2500, 16), np.float32)


def build(name: str) -> Any:
    stacks = {
        "sigmoid": [layers.Dense(10, "sigmoid")],
        "softmax": [layers.Dense(7, "relu"), layers.Dense(10), layers.Softmax()],
        "normalized": [layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(10)],
        "of 7 labels": [layers.Dense(7)],
        "of code": [layers.Lambda(lambda x: x), layers.Dense(10)],
    }
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((16,)), *stacks[name]])


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "normalized"])
def test_a_model_comes_back_as_it_was_and_gives_logits(name: str) -> None:
    model = build(name)
    expected = model.predict(IMAGES, verbose=0)
    loaded = saving.load(saving.to_bytes(model), "a.keras", 16, 10)
    assert (inference.linear_kernel(loaded) is not None) == (name == "sigmoid")
    activate = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softmax": metrics.softmax}.get(name)
    for portable in (True, False):
        logits = inference.logits(loaded, portable)
        assert logits(IMAGES[:0]).shape == (0, 10)
        found = logits(IMAGES)
        np.testing.assert_allclose(activate(found) if activate else found, expected, atol=1e-6)
    assert inference.saturated(loaded, found) == 0
    # Several sigmoids, and no several of other activations, are exactly 1.
    assert (inference.saturated(loaded, found * 1000) > 0) == (name == "sigmoid")


def test_models_that_are_refused() -> None:
    good = saving.to_bytes(build("sigmoid"))
    for content, message in (
        (good.replace(b'"Dense"', b'"Dance"'), "Keras cannot load it (Bad CRC-32 for file 'config"),
        (saving.to_bytes(build("of code")), "Keras cannot load it (Requested the deserialization "),
        (saving.to_bytes(build("of 7 labels")), "the model maps (None, 16) to (None, 7), but"),
    ):
        with pytest.raises(UserError) as error:
            saving.load(content, "a.keras", 16, 10)
        (line,) = str(error.value).splitlines()
        assert line.startswith(f"a.keras: {message}")
