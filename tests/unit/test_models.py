"""Saving is byte-stable and plain Keras; inference agrees with Keras."""

import datetime
import io
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stages import train_hidden, train_linear
from stages.lib import metrics, model_files, params

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PIXELS = 16
IMAGES = np.random.default_rng(0).random((2500, PIXELS), np.float32)


def build(name: str) -> Any:
    settings = params.TrainHidden(epochs=1, batch_size=1, learning_rate=0.1, seed=1, units=7)
    stage: Any = {"linear": train_linear, "hidden": train_hidden}[name]
    return stage.build_model(PIXELS, settings)


@pytest.mark.parametrize("name", ["linear", "hidden"])
def test_the_same_model_has_the_same_bytes_at_another_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.saving import saving_lib

    from stages.lib import saving

    now = saving.to_bytes(build(name))
    clock = SimpleNamespace(now=lambda: datetime.datetime(2001, 2, 3))
    monkeypatch.setattr(saving_lib, "datetime", SimpleNamespace(datetime=clock))
    monkeypatch.setattr(time, "time", lambda: 1e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1e9))
    assert saving.to_bytes(build(name)) == now
    with zipfile.ZipFile(io.BytesIO(now)) as archive:
        assert b"2001" not in archive.read("metadata.json")


@pytest.mark.parametrize("name", ["linear", "hidden"])
def test_keras_opens_a_saved_model_and_predicts_the_same(tmp_path: Path, name: str) -> None:
    import keras

    from stages.lib import models, saving

    path = tmp_path / "a.keras"
    model = build(name)
    path.write_bytes(saving.to_bytes(model))
    layers = model_files.parse(path.read_bytes(), "a.keras", name, PIXELS)
    expected = model.predict(IMAGES, verbose=0)
    opened = keras.saving.load_model(path)
    assert [type(layer) for layer in opened.layers] == [keras.layers.Dense] * len(layers)
    assert not opened.compiled
    np.testing.assert_array_equal(opened.predict(IMAGES, verbose=0), expected)
    np.testing.assert_array_equal(models.build(layers).predict(IMAGES, verbose=0), expected)
    logits = models.compiled_logits(layers)(IMAGES)
    activation = metrics.softmax if name == "hidden" else lambda x: 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(activation(logits), expected, atol=1e-6)
    assert models.compiled_logits(layers)(IMAGES[:0]).shape == (0, 10)
    assert logits.dtype == np.float32
