"""Of .keras files only what the stages build is accepted; the rest never reaches Keras."""

import io
import json
import math
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import train_hidden, train_linear
from stages.lib import files, model_files, params, paths
from stages.lib.errors import UserError
from stages.lib.model_files import CONFIG, METADATA, WEIGHTS
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PIXELS, UNITS = 16, 7
KERNEL = "layers/dense/vars/0"


@pytest.fixture(scope="module")
def linear(tensorflow_started: None) -> bytes:
    """models/linear.keras as train_linear writes it, for images of 4x4 pixels."""
    from stages.lib import saving

    settings = params.TrainLinear(epochs=1, batch_size=1, learning_rate=0.1, seed=1)
    return saving.to_bytes(train_linear.build_model(PIXELS, settings))


@pytest.fixture(scope="module")
def hidden(tensorflow_started: None) -> bytes:
    """models/hidden.keras as train_hidden writes it, for images of 4x4 pixels."""
    from stages.lib import saving

    settings = params.TrainHidden(epochs=1, batch_size=1, learning_rate=0.1, seed=1, units=UNITS)
    return saving.to_bytes(train_hidden.build_model(PIXELS, settings))


def refused(content: bytes, message: str, name: str = "linear") -> None:
    with pytest.raises(UserError) as error:
        model_files.parse(content, "a.keras", name, PIXELS)
    assert str(error.value).startswith(f"a.keras: {message}")
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


def saved(*layers: Any, name: str = "linear") -> bytes:
    """A model as Keras itself saves it."""
    import keras

    path = io.BytesIO()
    keras.src.saving.saving_lib.save_model(keras.Sequential(layers, name=name), path)
    return path.getvalue()


def test_what_the_stages_build_is_accepted(linear: bytes, hidden: bytes) -> None:
    (layer,) = model_files.parse(linear, "a.keras", "linear", PIXELS)
    assert (layer.name, layer.activation) == ("digits", "sigmoid")
    first, second = model_files.parse(hidden, "a.keras", "hidden", PIXELS)
    assert [(first.name, first.activation), (second.name, second.activation)] == [
        ("hidden", "relu"),
        ("digits", "softmax"),
    ]


def test_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linear: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^models/linear\.keras: no such file$"):
        model_files.read("linear", PIXELS)
    files.write(paths.model("linear"), linear)
    assert len(model_files.read("linear", PIXELS)) == 1


def test_swapped_or_made_for_other_images(linear: bytes, hidden: bytes) -> None:
    import keras

    refused(hidden, "it holds the model 'hidden', not 'linear'")
    refused(linear, "it holds the model 'linear', not 'hidden'", name="hidden")
    wide = saved(keras.Input((25,)), keras.layers.Dense(10))
    refused(wide, "not a model of this pipeline (a layer has the activation 'linear')")
    wide = saved(keras.Input((25,)), keras.layers.Dense(10, "relu"))
    refused(wide, "the model takes images of 25 pixels, not 16")
    three = saved(keras.Input((PIXELS,)), keras.layers.Dense(3, "softmax"))
    refused(three, "the model has 3 outputs, not 10")


def custom() -> Any:
    import keras

    @keras.saving.register_keras_serializable("mine")
    class Dense(keras.layers.Dense):  # type: ignore[misc]
        pass

    return Dense(4)


# Layers between an input of 16 pixels and a softmax layer.
OTHER_LAYERS: dict[str, tuple[Callable[[Any], list[Any]], str]] = {
    "batch normalization": (
        lambda keras: [keras.layers.BatchNormalization()],
        "BatchNormalization",
    ),
    "a convolution": (
        lambda keras: [
            keras.layers.Reshape((4, 4, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.Flatten(),
        ],
        "it has 4 layers after its input, not 1 to 2",
    ),
    "reshaped": (lambda keras: [keras.layers.Reshape((16,))], "keras.layers.Reshape instead of"),
    "a lambda": (
        lambda keras: [keras.layers.Lambda(lambda x: x)],
        "keras.layers.Lambda instead of",
    ),
    "a model": (
        lambda keras: [keras.Sequential([keras.layers.Dense(4)])],
        "keras.Sequential instea",
    ),
    "a custom class": (
        lambda keras: [custom()],
        "test_model_files.Dense instead of keras.layers.Dense",
    ),
    "three layers": (
        lambda keras: [keras.layers.Dense(4, "relu"), keras.layers.Dense(4, "relu")],
        "it has 3 layers after its",
    ),
    "another activation": (lambda keras: [keras.layers.Dense(4, "gelu")], "the activation 'gelu'"),
    "no bias": (
        lambda keras: [keras.layers.Dense(4, "relu", use_bias=False)],
        "model.weights.h5 lacks layers/dense/vars/1",
    ),
    "float16": (
        lambda keras: [keras.layers.Dense(4, "relu", dtype="float16")],
        "dense/0 is float16 (16, 4), not float32 (16, 4)",
    ),
}


@pytest.mark.parametrize("case", OTHER_LAYERS)
def test_a_keras_model_with_other_layers(case: str) -> None:
    import keras

    layers, message = OTHER_LAYERS[case]
    last = keras.layers.Dense(10, "softmax")
    content = saved(keras.Input((PIXELS,)), *layers(keras), last)
    with pytest.raises(UserError, match=r"^a\.keras: not a model of this pipeline \(") as error:
        model_files.parse(content, "a.keras", "linear", PIXELS)
    assert message in str(error.value)


def test_a_keras_model_of_another_kind() -> None:
    import keras

    unusable = "not a model of this pipeline ("
    refused(saved(keras.Input((PIXELS,))), f"{unusable}it has 0 layers after its input, not 1 to 2")
    words = saved(keras.Input((), dtype="string"), keras.layers.Hashing(10))
    refused(words, f"{unusable}not enough values to unpack")
    letters = saved(keras.Input((4, 4)), keras.layers.Dense(10, "relu"))
    refused(letters, f"{unusable}too many values to unpack")
    batch = saved(keras.Input((PIXELS,), batch_size=2), keras.layers.Dense(10, "relu"))
    refused(batch, f"{unusable}its input has the shape [2, 16])")
    inputs = keras.Input((PIXELS,))
    content = io.BytesIO()
    functional = keras.Model(inputs, keras.layers.Dense(10, "relu")(inputs), name="linear")
    keras.src.saving.saving_lib.save_model(functional, content)
    refused(
        content.getvalue(), f"{unusable}it has keras.src.models.functional.Functional instead of"
    )


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(*parts: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as target:
        for name, entry in parts:
            target.writestr(name, entry)
    return content.getvalue()


def replaced(content: bytes, **changes: bytes | None) -> bytes:
    """The file with other entries: config, metadata, weights; None leaves one out."""
    names = {"config": CONFIG, "metadata": METADATA, "weights": WEIGHTS}
    parts = entries(content) | {names[key]: value for key, value in changes.items()}
    return archive(*((name, entry) for name, entry in parts.items() if entry is not None))


Change = Callable[[dict[str, Any]], object]


def with_config(content: bytes, change: Change) -> bytes:
    config = json.loads(entries(content)[CONFIG])
    change(config)
    return replaced(content, config=json.dumps(config).encode())


def with_layer(content: bytes, number: int = 1, **values: object) -> bytes:
    return with_config(content, lambda c: c["config"]["layers"][number]["config"].update(values))


def with_class(content: bytes, number: int = 1, **values: object) -> bytes:
    return with_config(content, lambda c: c["config"]["layers"][number].update(values))


def with_weights(content: bytes, change: Callable[[h5py.File], object]) -> bytes:
    file = io.BytesIO(entries(content)[WEIGHTS])
    with h5py.File(file, "r+") as weights:
        change(weights)
    return replaced(content, weights=file.getvalue())


def with_kernel(content: bytes, *arguments: Any, **options: Any) -> bytes:
    """Another HDF5 data set for the kernel."""

    def change(file: h5py.File) -> None:
        del file[KERNEL]
        file.create_dataset(KERNEL, *arguments, **options)

    return with_weights(content, change)


def with_link(content: bytes, link: object) -> bytes:
    def change(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = link

    return with_weights(content, change)


def put(file: h5py.File, value: float) -> None:
    file[KERNEL][0, 0] = value


def bomb(content: bytes) -> bytes:
    """States that its weights unpack to 300 MB."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.getinfo(WEIGHTS).file_size = 300 * 2**20
        archive.writestr("another", b"")
    return file.getvalue()


HUGE = (4_000_000, 1000)
VIRTUAL = h5py.VirtualLayout((PIXELS, 10), np.float32)
EDITED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda c: b"", "File is not a zip file"),
    "truncated": (lambda c: c[:9000], "File is not a zip file"),
    "random": (lambda c: np.random.default_rng(0).bytes(5000), "File is not a zip file"),
    "data": (
        lambda c: files.array_bytes({"images": np.zeros(1)}),
        "it holds 'images.npy', which is",
    ),
    "a damaged entry": (lambda c: c.replace(b'"Dense"', b'"Dance"'), "config.json is damaged"),
    "no weights": (lambda c: replaced(c, weights=None), "it lacks model.weights.h5"),
    "no metadata": (lambda c: replaced(c, metadata=None), "it lacks metadata.json"),
    "a path out of it": (
        lambda c: archive(*entries(c).items(), ("../owned", b"x")),
        "it holds '../owned', which is no part of a model",
    ),
    "an entry twice": (
        lambda c: archive(*entries(c).items(), (CONFIG, entries(c)[CONFIG])),
        "an entry is there twice",
    ),
    "a zip bomb": (bomb, "unpacked it is larger than 256 MB"),
    "a huge config": (
        lambda c: replaced(c, config=entries(c)[CONFIG] + b" " * 2**20),
        "config.json is larger than 1 MB",
    ),
    "no JSON": (lambda c: replaced(c, config=b"{"), "Expecting property name"),
    "nested too deep": (lambda c: replaced(c, config=b"[" * 100_000), "maximum recursion depth"),
    "a list": (lambda c: replaced(c, config=b"[]"), "list indices must be integers"),
    "no HDF5": (lambda c: replaced(c, weights=b"x" * 9000), "Unable to synchronously open file"),
    "4,000,000 units": (
        lambda c: with_layer(c, units=4_000_000),
        "a layer has 4000000 units, not 1 to 10000",
    ),
    "no units": (lambda c: with_layer(c, units=0), "a layer has 0 units"),
    "true units": (lambda c: with_layer(c, units=True), "a layer has True units"),
    "a long activation": (lambda c: with_layer(c, activation="x" * 9999), "a layer has the activ"),
    "an input of words": (
        lambda c: with_layer(c, 0, batch_shape=[None, "many"]),
        "its input has the shape [None, 'many']",
    ),
    "another module's class": (
        lambda c: with_class(c, module="subprocess", class_name="Popen"),
        "it has subprocess.Popen instead of keras.layers.Dense",
    ),
    "a registered class": (
        lambda c: with_class(c, registered_name="mine>Dense"),
        "it has keras.layers.Dense instead of keras.layers.Dense",
    ),
    "no input": (
        lambda c: with_class(c, 0, class_name="Dense"),
        "it has keras.layers.Dense instead of keras.layers.InputLayer",
    ),
    "a huge array": (
        lambda c: with_kernel(c, HUGE, np.float32, fillvalue=1),
        "dense/0 is float32 (4000000, 1000), not float32 (16, 10)",
    ),
    "as many units as columns": (
        lambda c: with_layer(with_kernel(c, HUGE, np.float32, fillvalue=1), units=4_000_000),
        "a layer has 4000000 units",
    ),
    "a chunked array": (
        lambda c: with_kernel(c, (PIXELS, 10), np.float32, chunks=(4, 10)),
        "dense/0 is not stored as Keras does",
    ),
    "an array in another file": (
        lambda c: with_kernel(c, (PIXELS, 10), np.float32, external=[("/etc/passwd", 0, 640)]),
        "dense/0 is not stored as Keras does",
    ),
    "a virtual array": (
        lambda c: with_weights(
            c, lambda f: (f.pop(KERNEL), f.create_virtual_dataset(KERNEL, VIRTUAL))
        ),
        "dense/0 is not stored as Keras does",
    ),
    "a link to another file": (
        lambda c: with_link(c, h5py.ExternalLink("/etc/passwd", "/")),
        "model.weights.h5 lacks layers/dense/vars/0",
    ),
    "a soft link": (
        lambda c: with_link(c, h5py.SoftLink("/layers")),
        "model.weights.h5 lacks layers/dense/vars/0",
    ),
    "an array for a group": (
        lambda c: with_link(c, np.zeros(3)),
        "'Dataset' object has no attribute",
    ),
    "a group for an array": (
        lambda c: with_weights(c, lambda f: (f.pop(KERNEL), f.create_group(KERNEL))),
        "dense/0 is not stored as Keras does",
    ),
    "a weight that is no number": (
        lambda c: with_weights(c, lambda f: put(f, math.nan)),
        "dense/0 has weights that are not finite",
    ),
    "an infinite weight": (
        lambda c: with_weights(c, lambda f: put(f, math.inf)),
        "dense/0 has weights that are not finite",
    ),
}


@pytest.mark.parametrize("case", EDITED)
def test_an_edited_file_is_refused_before_anything_is_allocated(linear: bytes, case: str) -> None:
    edit, message = EDITED[case]
    content = edit(linear)
    assert content != linear
    tracemalloc.start()
    refused(content, f"not a model of this pipeline ({message}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20


@given(at=st.integers(0, 10**6), put=st.binary(min_size=1, max_size=8))
def test_a_changed_file_is_read_right_or_refused(linear: bytes, at: int, put: bytes) -> None:
    at %= len(linear)
    (expected,) = model_files.parse(linear, "a.keras", "linear", PIXELS)
    try:
        (layer,) = model_files.parse(
            linear[:at] + put + linear[at + len(put) :], "a.keras", "linear", PIXELS
        )
    except UserError as error:
        assert str(error).startswith("a.keras: ")
    else:
        np.testing.assert_array_equal(layer.kernel, expected.kernel)
        np.testing.assert_array_equal(layer.bias, expected.bias)


def test_nothing_but_training_and_predicting_imports_tensorflow() -> None:
    code = (
        "import sys, stages.prepare, stages.evaluate, stages.train_linear, stages.train_hidden, "
        "stages.lib.comparison, tools.result, stages.lib.model_files, stages.lib.figures; "
        "sys.exit(sorted({'tensorflow', 'keras', 'scipy'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
