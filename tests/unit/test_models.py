"""Saving is byte-stable; loading refuses everything but Keras's own layers."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.lib.errors import UserError

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PIXELS = 12


def model(pixels: int = PIXELS, classes: int = 10, extra: Any = None) -> Any:
    import keras

    layers = [keras.Input((pixels,)), keras.layers.Dense(classes, activation="softmax")]
    if extra is not None:
        layers.insert(1, extra)
    return keras.Sequential(layers, name="tiny")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    from stages.lib import models

    path = tmp_path / "tiny.keras"
    models.save(model(), path)
    return path


def refused(path: Path, reason: str) -> None:
    from stages.lib import models

    with pytest.raises(UserError, match=reason) as error:
        models.load(path, PIXELS)
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value).splitlines()) == 1


def test_the_same_model_gives_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    from stages.lib import models

    tiny = model()
    models.save(tiny, tmp_path / "1.keras")
    time.sleep(2.1)  # A zip's dates have a resolution of two seconds.
    models.save(tiny, tmp_path / "2.keras")
    assert (tmp_path / "1.keras").read_bytes() == (tmp_path / "2.keras").read_bytes()


def test_plain_keras_opens_the_file(saved: Path) -> None:
    import keras

    from stages.lib import models

    images = np.random.default_rng(0).random((5, PIXELS), np.float32)
    plain = keras.saving.load_model(saved)
    assert [type(layer).__module__.split(".")[0] for layer in plain.layers] == ["keras"]
    np.testing.assert_array_equal(
        plain.predict(images, verbose=0), models.load(saved, PIXELS).predict(images, verbose=0)
    )


def test_logits_are_what_the_activation_turns_into_the_output() -> None:
    from stages.lib import models, scoring

    tiny = model()
    images = np.random.default_rng(0).random((2500, PIXELS), np.float32)
    outputs = tiny.predict(images, verbose=0)
    logits = models.compiled_logits(tiny)(images)
    assert logits.shape == (2500, 10)
    np.testing.assert_allclose(scoring.softmax(logits), outputs, atol=1e-6)


def test_no_images_give_no_logits() -> None:
    from stages.lib import models

    logits = models.compiled_logits(model())(np.empty((0, PIXELS), np.float32))
    assert logits.shape == (0, 10)


@pytest.mark.parametrize(
    "entry", ["model.weights.h5", "config.json"], ids=["weights", "description"]
)
def test_an_intact_archive_of_something_else(saved: Path, entry: str) -> None:
    """What tests/pipeline/test_bad_input.py shows the stages is refused before Keras opens it."""
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "tiny"}}
    rewrite(saved, entry, json.dumps(layer).encode())
    refused(saved, "not a usable Keras model|not a model whose last layer is a Dense layer")


def test_another_input_width(tmp_path: Path) -> None:
    from stages.lib import models

    models.save(model(pixels=9), tmp_path / "tiny.keras")
    refused(tmp_path / "tiny.keras", r"takes arrays of shape \(None, 9\), not \(None, 12\)")


def test_another_number_of_classes(tmp_path: Path) -> None:
    from stages.lib import models

    models.save(model(classes=3), tmp_path / "tiny.keras")
    refused(tmp_path / "tiny.keras", r"gives arrays of shape \(None, 3\), not \(None, 10\)")


def test_a_lambda_is_refused_and_not_run(tmp_path: Path) -> None:
    import keras

    trace = str(tmp_path / "the code ran")
    path = tmp_path / "lambda.keras"
    code = keras.layers.Lambda(lambda x: (open(trace, "w"), x)[1])  # noqa: PTH123, SIM115
    with_lambda = model(extra=code)
    Path(trace).unlink()
    with_lambda.save(path)
    refused(path, "Lambda")
    assert not Path(trace).exists()


def test_a_custom_class_is_refused(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("evil")
    class Custom(keras.layers.Dense):  # type: ignore[misc]
        pass

    model(extra=Custom(4)).save(tmp_path / "custom.keras")
    refused(tmp_path / "custom.keras", "custom object: Custom")


def rewrite(path: Path, entry: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | {entry: content}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
