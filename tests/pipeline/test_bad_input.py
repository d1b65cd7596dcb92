"""Bad input to a stage: one line that names the file, status 1, and every output untouched.

One mistake of each kind; the unit tests have the others.
"""

import io
import os
import shutil
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tests.conftest import Workspace

RAW, TRAIN, TEST = "data/raw/small.npz", "data/prepared/train.npz", "data/prepared/test.npz"
LINEAR = "models/linear.keras"


def replace(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


def multiply(name: str, factor: float) -> Callable[[bytes], bytes]:
    """Another content of an .npz file, with another array."""

    def change(content: bytes) -> bytes:
        arrays, file = dict(np.load(io.BytesIO(content))), io.BytesIO()
        np.savez(file, **arrays | {name: arrays[name] * np.float32(factor)})
        return file.getvalue()

    return change


def other_model(outputs: int, bias: float) -> Callable[[bytes], bytes]:
    def change(_: bytes) -> bytes:
        import keras

        from digits import models

        initial = keras.initializers.Constant(bias)
        layer = keras.layers.Dense(outputs, "softmax", bias_initializer=initial)
        return models.to_bytes(keras.Sequential([keras.Input((784,)), layer]))

    return change


@pytest.mark.usefixtures("tensorflow_started")
@pytest.mark.parametrize(
    ("stage", "name", "change", "message"),
    [
        (
            "train_hidden",
            "params.yaml",
            replace(b"units: 32", b"units: '32'"),
            ": train_hidden.units is '32'; must be an integer from 1 to 10000\n",
        ),
        (
            "prepare",
            "params.yaml",
            replace(b"validation_size: 300", b"validation_size: 1500"),
            f": prepare.validation_size is 1500, but {RAW} has 1500 training images; at least one",
        ),
        ("prepare", RAW, None, ": no such file\n"),
        (
            "prepare",
            RAW,
            multiply("x_test", 1 / 255),
            ": x_test is float32 (300, 28, 28), not uint",
        ),
        (
            "train_linear",
            TRAIN,
            lambda content: content[:9000],
            ": not a usable .npz file (File is",
        ),
        (
            "evaluate",
            TEST,
            multiply("images", 2),
            ": images has values outside 0..1; regenerate it",
        ),
        ("evaluate", LINEAR, lambda content: content[:9000], ": Keras cannot load it (File is not"),
        (
            "evaluate",
            LINEAR,
            other_model(7, 0),
            ": the model maps (None, 784) to (None, 7), but the",
        ),
        (
            "evaluate",
            LINEAR,
            other_model(10, np.nan),
            ": the model's outputs are not finite; train",
        ),
    ],
)
def test_bad_input(
    small: Workspace,
    stage: str,
    name: str,
    change: Callable[[bytes], bytes] | None,
    message: str,
) -> None:
    path = small.path / name
    if change:
        path.write_bytes(change(path.read_bytes()))
    else:
        path.unlink()
    before = small.written()
    done = small.stage(stage, status=1)
    assert done.stderr.startswith(f"error: {name}{message}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert small.written() == before


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_a_file_that_may_not_be_read(small: Workspace) -> None:
    # Root may read everything unless it gives that up.
    bounded = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*(bounded if os.geteuid() == 0 else []), sys.executable, "-m", "stages.prepare"]
    (small.path / "params.yaml").chmod(0)
    assert small.run(*command, status=1).stderr == "error: params.yaml: Permission denied\n"
