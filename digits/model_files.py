"""What a .keras file of this pipeline holds, read without running or allocating what it asks for.

Keras can build any model that a file describes. Here only what the stages themselves build is
accepted: an input and Dense layers, of sizes that params.yaml allows. Nothing here imports
TensorFlow.
"""

import io
import json
import zipfile
from typing import Any, NamedTuple

import h5py
import numpy as np

from digits import files, params, paths
from digits.errors import UserError
from digits.splits import CLASSES

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# The widest hidden layer that params.yaml allows takes 32 MB for images of 28x28 pixels.
LARGEST_UNPACKED_BYTES = 256 * 2**20
LARGEST_CONFIG_BYTES = 2**20
MOST_LAYERS = 2
ACTIVATIONS = ("relu", "sigmoid", "softmax")


class Layer(NamedTuple):
    """A Dense layer: kernel float32 (inputs, units), bias float32 (units,)."""

    name: str
    activation: str
    kernel: np.ndarray
    bias: np.ndarray


class _Dense(NamedTuple):
    name: str
    activation: str
    inputs: int
    units: int


def read(name: str, pixels: int) -> list[Layer]:
    """The layers of models/`name`.keras. Raises UserError if it is absent or `parse` does."""
    return parse(files.read(paths.model(name)), str(paths.model(name)), name, pixels)


def parse(content: bytes, source: str, name: str, pixels: int) -> list[Layer]:
    """The layers of a .keras file that holds the model `name` for images of so many pixels.

    Raises UserError, which names `source`, if it holds anything else or is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_entries(archive)
            config = json.loads(archive.read(CONFIG))
            weights = archive.read(WEIGHTS)
        found = config["config"]["name"]
        dense = _dense_layers(config)
    except Exception as error:
        # zipfile, zlib and json each raise several kinds for a damaged file.
        raise _unusable(source, error) from error
    if found != name:
        raise UserError(f"{source}: it holds the model {str(found)[:40]!r}, not {name!r}")
    takes, gives = dense[0].inputs, dense[-1].units
    if takes != pixels:
        raise UserError(f"{source}: the model takes images of {takes} pixels, not {pixels}")
    if gives != CLASSES:
        raise UserError(f"{source}: the model has {gives} outputs, not {CLASSES}")
    try:
        with h5py.File(io.BytesIO(weights)) as file:
            return [_layer(file, number, shape) for number, shape in enumerate(dense)]
    except Exception as error:
        raise _unusable(source, error) from error


def _unusable(source: str, error: Exception) -> UserError:
    return UserError(f"{source}: not a model of this pipeline ({files.first_line(error)})")


def _check_entries(archive: zipfile.ZipFile) -> None:
    files.refuse_bomb(archive, LARGEST_UNPACKED_BYTES)
    names, expected = archive.namelist(), {CONFIG, METADATA, WEIGHTS}
    if set(names) - expected:
        raise ValueError(f"it holds {min(set(names) - expected)!r}, which is no part of a model")
    if expected - set(names):
        raise ValueError(f"it lacks {min(expected - set(names))}")
    if len(names) > len(expected):
        raise ValueError("an entry is there twice")
    if archive.getinfo(CONFIG).file_size > LARGEST_CONFIG_BYTES:
        raise ValueError(f"{CONFIG} is larger than {LARGEST_CONFIG_BYTES // 2**20} MB")
    damaged = archive.testzip()
    if damaged:
        raise ValueError(f"{damaged} is damaged")


def _dense_layers(config: Any) -> list[_Dense]:
    """The Dense layers that the model consists of."""
    _check_class(config, "Sequential", "keras")
    first, *others = config["config"]["layers"]
    _check_class(first, "InputLayer", "keras.layers")
    batch, inputs = first["config"]["batch_shape"]
    if batch is not None or type(inputs) is not int:
        raise ValueError(f"its input has the shape {str(first['config']['batch_shape'])[:40]}")
    if not 1 <= len(others) <= MOST_LAYERS:
        raise ValueError(f"it has {len(others)} layers after its input, not 1 to {MOST_LAYERS}")
    dense = []
    for layer in others:
        _check_class(layer, "Dense", "keras.layers")
        units, activation = layer["config"]["units"], layer["config"]["activation"]
        if type(units) is not int or not 1 <= units <= params.MOST_UNITS:
            raise ValueError(f"a layer has {str(units)[:20]} units, not 1 to {params.MOST_UNITS}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"a layer has the activation {str(activation)[:40]!r}")
        dense.append(_Dense(str(layer["config"]["name"]), activation, inputs, units))
        inputs = units
    return dense


def _check_class(described: Any, name: str, module: str) -> None:
    found = described["class_name"], described["module"], described["registered_name"]
    if found != (name, module, None):
        raise ValueError(
            f"it has {str(found[1])[:40]}.{str(found[0])[:40]} instead of {module}.{name}"
        )


def _layer(file: h5py.File, number: int, dense: _Dense) -> Layer:
    group = f"dense_{number}" if number else "dense"
    kernel = _array(file, group, "0", (dense.inputs, dense.units))
    return Layer(dense.name, dense.activation, kernel, _array(file, group, "1", (dense.units,)))


def _array(file: h5py.File, group: str, variable: str, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel or bias, float32 in the given shape."""
    found = file
    for part in ("layers", group, "vars", variable):
        # A link may lead to another file.
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{WEIGHTS} lacks layers/{group}/vars/{variable}")
        found = found[part]
    # Only an array that is stored as it is takes no more memory than its shape says.
    if not isinstance(found, h5py.Dataset) or found.chunks or found.external or found.is_virtual:
        raise ValueError(f"{group}/{variable} is not stored as Keras does")
    if found.shape != shape or found.dtype != np.float32:
        raise ValueError(f"{group}/{variable} is {found.dtype} {found.shape}, not float32 {shape}")
    array: np.ndarray = found[()]
    if not np.isfinite(array).all():
        raise ValueError(f"{group}/{variable} has weights that are not finite")
    return array
