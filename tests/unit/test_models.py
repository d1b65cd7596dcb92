"""Models are saved byte-stable and as plain Keras; a file that holds anything else is refused."""

import datetime
import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from digits import files, metrics, model_files, params, paths
from digits.errors import UserError
from digits.model_files import CONFIG, METADATA, WEIGHTS
from stages import train_hidden, train_linear

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PIXELS = 16
IMAGES = np.random.default_rng(0).random((2500, PIXELS), np.float32)
KERNEL = "layers/dense/vars/0"


def build(name: str) -> Any:
    """An untrained model of a stage, for images of 4x4 pixels."""
    settings = params.TrainHidden(epochs=1, batch_size=1, learning_rate=0.1, seed=1, units=7)
    stage: Any = {"linear": train_linear, "hidden": train_hidden}[name]
    return stage.build_model(PIXELS, settings)


def stage_file(name: str) -> bytes:
    """The .keras file of an untrained model, as its stage writes it."""
    from digits import saving

    return saving.to_bytes(build(name))


def keras_file(*layers: Any) -> bytes:
    """A model called linear, as Keras writes it."""
    import keras
    from keras.src.saving import saving_lib

    content = io.BytesIO()
    saving_lib.save_model(keras.Sequential(layers, name="linear"), content)
    return content.getvalue()


@pytest.mark.parametrize("name", ["linear", "hidden"])
def test_the_same_model_has_the_same_bytes_at_another_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.saving import saving_lib

    now = stage_file(name)
    clock = SimpleNamespace(now=lambda: datetime.datetime(2001, 2, 3))
    monkeypatch.setattr(saving_lib, "datetime", SimpleNamespace(datetime=clock))
    monkeypatch.setattr(time, "time", lambda: 1e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1e9))
    assert stage_file(name) == now
    # A memory address, which differs from process to process.
    assert b"shared_object_id" not in entries(now)[CONFIG]


@pytest.mark.parametrize("name", ["linear", "hidden"])
def test_a_saved_model_predicts_the_same_with_and_without_this_project(
    tmp_path: Path, name: str
) -> None:
    import keras

    from digits import models, saving

    model, path = build(name), tmp_path / "a.keras"
    path.write_bytes(saving.to_bytes(model))
    layers = model_files.parse(path.read_bytes(), "a.keras", name, PIXELS)
    expected = model.predict(IMAGES, verbose=0)
    opened = keras.saving.load_model(path)
    assert not opened.compiled
    np.testing.assert_array_equal(opened.predict(IMAGES, verbose=0), expected)
    np.testing.assert_array_equal(models.build(layers).predict(IMAGES, verbose=0), expected)
    logits = models.compiled_logits(layers)(IMAGES)
    activation = metrics.softmax if name == "hidden" else lambda x: 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(activation(logits), expected, atol=1e-6)
    assert models.compiled_logits(layers)(IMAGES[:0]).shape == (0, 10)


def test_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^models/linear\.keras: no such file$"):
        model_files.read("linear", PIXELS)
    files.write(paths.model("linear"), stage_file("linear"))
    (layer,) = model_files.read("linear", PIXELS)
    assert (layer.name, layer.activation) == ("digits", "sigmoid")


def refused(content: bytes, reason: str, name: str = "linear") -> None:
    with pytest.raises(UserError) as error:
        model_files.parse(content, "a.keras", name, PIXELS)
    assert str(error.value).startswith(f"a.keras: {reason}")
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


def refused_as_no_model(cases: dict[str, bytes]) -> None:
    for reason, content in cases.items():
        refused(content, f"not a model of this pipeline ({reason}")


def test_another_model_of_the_pipeline_is_refused() -> None:
    from keras import Input
    from keras.layers import Dense

    refused(stage_file("hidden"), "it holds the model 'hidden', not 'linear'")
    refused(stage_file("linear"), "it holds the model 'linear', not 'hidden'", name="hidden")
    large = keras_file(Input((25,)), Dense(10, "relu"))
    refused(large, "the model takes images of 25 pixels, not 16")
    three = keras_file(Input((PIXELS,)), Dense(3, "relu"))
    refused(three, "the model has 3 outputs, not 10")


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_other_keras_models_are_refused() -> None:
    import keras
    from keras import Input, layers
    from keras.layers import Dense

    @keras.saving.register_keras_serializable("mine")
    class Custom(Dense):  # type: ignore[misc]
        pass

    instead = "instead of keras.layers.Dense"
    hidden_layers = {
        "it has 3 layers after its input, not 1 to 2": [Dense(4, "relu"), Dense(4, "relu")],
        "it has 4 layers": [layers.Reshape((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten()],
        f"it has keras.layers.Reshape {instead}": [layers.Reshape((16,))],
        f"it has keras.layers.BatchNormalization {instead}": [layers.BatchNormalization()],
        f"it has keras.layers.Lambda {instead}": [layers.Lambda(lambda x: x)],
        f"it has keras.Sequential {instead}": [keras.Sequential([Dense(4)])],
        f"it has {__name__}.Custom {instead}": [Custom(4)],
        "a layer has the activation 'gelu'": [Dense(4, "gelu")],
        "model.weights.h5 lacks layers/dense/vars/1": [Dense(4, "relu", use_bias=False)],
        "dense/0 is float16 (16, 4), not float32": [Dense(4, "relu", dtype="float16")],
    }
    pixels = Input((PIXELS,))
    refused_as_no_model(
        {
            reason: keras_file(pixels, *others, Dense(10, "softmax"))
            for reason, others in hidden_layers.items()
        }
    )
    refused_as_no_model(
        {
            "it has 0 layers": keras_file(pixels),
            "not enough values": keras_file(Input((), dtype="string"), layers.Hashing(10)),
            "too many values": keras_file(Input((4, 4)), Dense(10, "relu")),
            "its input has the shape [2, 16]": keras_file(Input((16,), batch_size=2), Dense(10)),
        }
    )


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(*parts: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in parts:
            archive.writestr(name, entry)
    return content.getvalue()


def with_entry(content: bytes, name: str, entry: bytes) -> bytes:
    return zipped(*(entries(content) | {name: entry}).items())


def with_layer(content: bytes, number: int = 1, **values: object) -> bytes:
    """Other values of a layer, or of its configuration, as config.json describes it."""
    config = json.loads(entries(content)[CONFIG])
    layer = config["config"]["layers"][number]
    for name, value in values.items():
        (layer if name in layer else layer["config"])[name] = value
    return with_entry(content, CONFIG, json.dumps(config).encode())


def with_weights(content: bytes, change: Callable[[h5py.File], object]) -> bytes:
    file = io.BytesIO(entries(content)[WEIGHTS])
    with h5py.File(file, "r+") as weights:
        change(weights)
    return with_entry(content, WEIGHTS, file.getvalue())


def with_kernel(content: bytes, shape: tuple[int, int] = (PIXELS, 10), **options: Any) -> bytes:
    """Another HDF5 data set for the kernel."""

    def change(file: h5py.File) -> None:
        del file[KERNEL]
        file.create_dataset(KERNEL, shape, np.float32, **options)

    return with_weights(content, change)


def with_link(content: bytes, link: object) -> bytes:
    """A link in the place of the first layer's group, which moves to /moved."""

    def change(file: h5py.File) -> None:
        file.move("layers/dense", "moved")
        file["layers/dense"] = link

    return with_weights(content, change)


def with_weight(content: bytes, value: float) -> bytes:
    return with_weights(content, lambda file: file[KERNEL].write_direct(np.full((16, 10), value)))


def bomb(content: bytes) -> bytes:
    """States that its weights unpack to 300 MB."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.getinfo(WEIGHTS).file_size = 300 * 2**20
        archive.comment = b"Writes the directory again."
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_edited_files_are_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    good = stage_file("linear")
    parts = entries(good)
    another = str(tmp_path / "weights.h5")
    files.write(Path(another), parts[WEIGHTS])
    huge = (4_000_000, 1000)
    tracemalloc.start()
    refused_as_no_model(
        {
            "File is not a zip file": good[:9000],
            "it holds 'images.npy', which is no part": files.array_bytes({"images": IMAGES}),
            "it holds '../owned'": with_entry(good, "../owned", b""),
            "it lacks model.weights.h5": zipped((CONFIG, parts[CONFIG]), (METADATA, b"")),
            "an entry is there twice": zipped(*parts.items(), (CONFIG, parts[CONFIG])),
            "config.json is damaged": good.replace(b'"Dense"', b'"Dance"'),
            "config.json is larger than 1 MB": with_entry(
                good, CONFIG, parts[CONFIG] + b" " * 2**20
            ),
            "unpacked it is larger than 256 MB": bomb(good),
            "maximum recursion depth exceeded": with_entry(good, CONFIG, b"[" * 100_000),
            "list indices must be integers": with_entry(good, CONFIG, b"[]"),
            "Unable to synchronously open file": with_entry(good, WEIGHTS, b"not HDF5"),
            "it has keras.layers.Dense instead of keras.layers.Inp": with_layer(
                good, 0, class_name="Dense"
            ),
            "it has os.Popen instead": with_layer(good, module="os", class_name="Popen"),
            "it has keras.layers.Dense instead": with_layer(good, registered_name="mine>Dense"),
            "a layer has 4000000 units, not 1 to 10000": with_layer(good, units=4_000_000),
            "a layer has True units": with_layer(good, units=True),
            "its input has the shape [None, 'many']": with_layer(
                good, 0, batch_shape=[None, "many"]
            ),
            "a layer has the activation 'xxx": with_layer(good, activation="x" * 9999),
            "dense/0 is float32 (4000000, 1000), not": with_kernel(good, huge, fillvalue=1),
            "dense/0 is not stored as Keras does": with_kernel(good, chunks=(4, 10)),
            "dense/0 is not stored": with_kernel(good, external=[("/etc/passwd", 0, 640)]),
            "model.weights.h5 lacks layers/dense/vars/0": with_link(good, h5py.SoftLink("/moved")),
            "model.weights.h5 lacks": with_link(good, h5py.ExternalLink(another, "/layers/dense")),
            "dense/0 has weights that are not finite": with_weight(good, float("nan")),
            "dense/0 has weights that are not": with_weight(good, float("inf")),
        }
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20
