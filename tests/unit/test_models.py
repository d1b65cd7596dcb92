"""Models have stable bytes, come back as they were, and are refused where they do not fit."""

import datetime
import io
import time
import zipfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from digits import metrics
from digits.errors import UserError

pytestmark = pytest.mark.usefixtures("tensorflow_started")

IMAGES = np.random.default_rng(0).random((2500, 16), np.float32)


def build(*layers: Any) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((16,)), *layers])


def stacks() -> dict[str, list[Any]]:
    from keras import layers

    return {
        "sigmoid": [layers.Dense(10, "sigmoid")],
        "softmax": [layers.Dense(7, "relu"), layers.Dense(10), layers.Softmax()],
        "convolution": [
            layers.Reshape((4, 4, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, "softmax"),
        ],
    }


def test_the_same_model_has_the_same_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.saving import saving_lib

    from digits import models

    model = build(*stacks()["convolution"])
    now = models.to_bytes(model)
    clock = SimpleNamespace(now=lambda: datetime.datetime(2001, 2, 3))
    monkeypatch.setattr(saving_lib, "datetime", SimpleNamespace(datetime=clock))
    monkeypatch.setattr(time, "time", lambda: 1e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1e9))
    assert models.to_bytes(model) == now
    # A memory address, which differs from process to process.
    with zipfile.ZipFile(io.BytesIO(now)) as archive:
        assert b"shared_object_id" not in archive.read("config.json")


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "convolution"])
def test_a_model_comes_back_as_it_was_and_gives_logits(name: str) -> None:
    from digits import models

    model = build(*stacks()[name])
    expected = model.predict(IMAGES, verbose=0)
    loaded = models.load(models.to_bytes(model), "a.keras", 16, 10)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    assert (models.linear_kernel(loaded) is not None) == (name == "sigmoid")
    for portable in (True, False):
        logits = models.logits(loaded, portable)
        assert logits(IMAGES[:0]).shape == (0, 10)
        found = logits(IMAGES)
        activated = 1 / (1 + np.exp(-found)) if name == "sigmoid" else metrics.softmax(found)
        np.testing.assert_allclose(activated, expected, atol=1e-6)


def test_models_that_are_refused() -> None:
    from keras import layers

    from digits import models

    good = models.to_bytes(build(layers.Dense(10)))
    lambda_ = models.to_bytes(build(layers.Lambda(lambda x: x), layers.Dense(10)))
    for content, message in (
        (good[:9000], "Keras cannot load it (File is not a zip file)"),
        (good.replace(b'"Dense"', b'"Dance"'), "Keras cannot load it (Bad CRC-32 for file 'config"),
        (lambda_, "Keras cannot load it (Requested the deserialization of a `Lambda` layer"),
        (
            models.to_bytes(build(layers.Dense(7))),
            "the model maps (None, 16) to (None, 7), but the",
        ),
    ):
        with pytest.raises(UserError) as error:
            models.load(content, "a.keras", 16, 10)
        (line,) = str(error.value).splitlines()
        assert line.startswith(f"a.keras: {message}")
    with pytest.raises(
        UserError, match="but the data set has 25 pixels and 10 labels; train it ag"
    ):
        models.load(good, "a.keras", 25, 10)
