"""Bad input to a stage: one line that names the file, status 1, and every output untouched.

One mistake of each kind; the unit tests have the others.
"""

import shutil
from pathlib import Path

import keras
import numpy as np

from tests.conftest import Workspace

RAW, TRAIN, MODEL = "data/raw/small.npz", "data/prepared/train.npz", "models/hidden.keras"


def test_bad_input(small: Workspace, tmp_path: Path) -> None:
    def refused(stage: str, name: str) -> str:
        """The message after the file's name; restores the file."""
        before = small.written()
        done = small.stage(stage, status=1)
        assert (done.stdout, small.written()) == ("", before)
        shutil.copy2(tmp_path / "saved", small.path / name)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {name}: ")
        return line.removeprefix(f"error: {name}: ")

    def file(name: str) -> Path:
        shutil.copy2(small.path / name, tmp_path / "saved")
        return small.path / name

    file("params.yaml")
    small.set_params(**{"prepare.validation_size": 1500})
    assert refused("prepare", "params.yaml").endswith(
        f"is 1500, but {RAW} has 1500 training images; at least one must remain"
    )
    file("params.yaml").unlink()
    assert refused("evaluate", "params.yaml") == "no such file; run it in the project root"
    arrays = dict(np.load(file(RAW)))
    np.savez(small.path / RAW, **arrays | {"x_test": arrays["x_test"] / 255})
    assert refused("prepare", RAW).endswith("; multiply by 255 first")
    file("dvc.yaml").write_text("a: 1")
    assert refused("train_hidden", "dvc.yaml").startswith("no stages in it; nothing was written")
    file(TRAIN).unlink()
    assert refused("train_hidden", TRAIN) == "no such file"
    file(MODEL).write_bytes(b"PK")
    assert refused("evaluate", MODEL) == "Keras cannot load it (File is not a zip file)"
    not_finite = keras.layers.Dense(10, bias_initializer=keras.initializers.Constant(np.nan))
    keras.Sequential([keras.Input((784,)), not_finite]).save(file(MODEL))
    assert refused("evaluate", MODEL) == "the model's outputs are not finite; train it again"
