"""Saving is byte-stable; loading refuses everything but Keras's own layers."""

import json
import time
import zipfile
from collections.abc import Callable
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


def test_an_absent_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.keras", "no such file")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"not a zip at all",
        lambda content: content[:2000] + bytes(3000) + content[5000:],
    ],
    ids=["empty", "truncated", "text", "overwritten"],
)
def test_a_damaged_file(saved: Path, damage: Callable[[bytes], bytes]) -> None:
    saved.write_bytes(damage(saved.read_bytes()))
    refused(saved, "not a usable Keras model")


def test_another_input_width(tmp_path: Path) -> None:
    from stages.lib import models

    models.save(model(pixels=9), tmp_path / "narrow.keras")
    refused(tmp_path / "narrow.keras", r"takes arrays of shape \(None, 9\), not \(None, 12\)")


def test_another_number_of_classes(tmp_path: Path) -> None:
    from stages.lib import models

    models.save(model(classes=3), tmp_path / "three.keras")
    refused(tmp_path / "three.keras", r"gives arrays of shape \(None, 3\), not \(None, 10\)")


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


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_class_from_another_module_is_refused(saved: Path) -> None:
    def change(content: dict[str, bytes]) -> None:
        config = json.loads(content["config.json"])
        config["config"]["layers"][1] |= {"module": "subprocess", "class_name": "Popen"}
        content["config.json"] = json.dumps(config).encode()

    rewrite(saved, change)
    refused(saved, "it needs the module 'subprocess'")


def test_a_path_out_of_the_archive_is_refused(saved: Path) -> None:
    rewrite(saved, lambda content: content.update({"../../escaped": b"x"}))
    refused(saved, r"it holds '\.\./\.\./escaped', which is no part of a model")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(saved: Path) -> None:
    rewrite(saved, lambda content: content.update({"model.weights.h5": bytes(300 * 2**20)}))
    assert saved.stat().st_size < 2**20
    refused(saved, "unpacked it is larger than 256 MB")
