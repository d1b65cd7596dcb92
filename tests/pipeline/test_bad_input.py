"""Bad input to a stage: one line that names the file, status 1, and every output untouched.

One mistake of each kind for each file; the unit tests have the others.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Workspace

# Corrupts the intact file whose path it is given.
Corrupt = Callable[[Path], object]

PARAMS, RAW = "params.yaml", "data/raw/small.npz"
TRAIN, TEST = "data/prepared/train.npz", "data/prepared/test.npz"
LINEAR, HIDDEN = "models/linear.keras", "models/hidden.keras"


def replace(old: bytes, new: bytes) -> Corrupt:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new, 1))


def change_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Corrupt:
    """Change an array of an .npz file; pickles it if it becomes one of objects."""

    def corrupt(path: Path) -> None:
        arrays = dict(np.load(path))
        np.savez(path, **arrays | {name: change(arrays[name])})

    return corrupt


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def flip_bit(path: Path) -> None:
    """Flip a bit in the header of an array, which says then that the array is shorter."""
    # Not compressed, so that it can be found.
    np.savez(path, **np.load(path))
    replace(b"(1200, 784)", b"(1000, 784)")(path)


def linear_model(path: Path) -> None:
    shutil.copyfile(path.with_name("linear.keras"), path)


# What is wrong with which file: the stage that is run, and the message after the file's name.
CASES: dict[tuple[str, str], tuple[str, Corrupt, str]] = {
    (PARAMS, "absent"): ("train_linear", Path.unlink, ": no such file; run from the top of the "),
    (PARAMS, "a tag that runs code"): (
        "evaluate",
        replace(b"examples: 40", b"examples: !!python/object/apply:os.system ['touch owned']"),
        ", line 22: could not determine a constructor for the tag",
    ),
    (PARAMS, "a bad value"): (
        "train_hidden",
        replace(b"units: 32", b"units: '32'"),
        ": train_hidden.units is '32'; must be a whole number from 1 to 10000\n",
    ),
    (PARAMS, "too many validation images"): (
        "prepare",
        replace(b"validation_size: 300", b"validation_size: 1500"),
        f": prepare.validation_size is 1500, but {RAW} has 1500 training images; at least one",
    ),
    (RAW, "absent"): ("prepare", Path.unlink, ": no such file\n"),
    (RAW, "pickles"): (
        "prepare",
        change_array("y_test", lambda labels: labels.astype(object)),
        ": not a usable .npz file (y_test: Object arrays cannot be loaded",
    ),
    (TRAIN, "truncated"): ("train_linear", truncate, ": not a usable .npz file (File is not a "),
    (TRAIN, "a flipped bit"): ("train_hidden", flip_bit, ": not a usable .npz file (Bad CRC-32"),
    (TEST, "NaN"): (
        "evaluate",
        change_array("images", lambda images: images * np.float32(np.nan)),
        ": images has values outside 0..1; regenerate it: dvc repro -f prepare\n",
    ),
    (LINEAR, "truncated"): ("evaluate", truncate, ": not a model of this pipeline (File is not a"),
    (HIDDEN, "the linear model"): ("evaluate", linear_model, ": it holds the model 'linear', not"),
}


@pytest.fixture(scope="module")
def workspace(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished run; each test restores the file that it corrupts."""
    return small_pipeline.copy(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def corrupted(workspace: Workspace, case: tuple[str, str], tmp_path: Path) -> Iterator[None]:
    path, saved = workspace.path / case[0], tmp_path / "saved"
    shutil.copy2(path, saved)
    _, corrupt, _ = CASES[case]
    corrupt(path)
    yield
    saved.replace(path)


@pytest.mark.parametrize("case", CASES, ids=": ".join)
@pytest.mark.usefixtures("corrupted")
def test_bad_input(workspace: Workspace, case: tuple[str, str]) -> None:
    stage, _, message = CASES[case]
    before = workspace.written()
    done = workspace.stage(stage, status=1)
    assert done.stderr.startswith(f"error: {case[0]}{message}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert workspace.written() == before
    assert not (workspace.path / "owned").exists()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_a_file_that_may_not_be_read(small: Workspace) -> None:
    # Root may read everything unless it gives that up.
    bounded = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*(bounded if os.geteuid() == 0 else []), sys.executable, "-m", "stages.prepare"]
    (small.path / PARAMS).chmod(0)
    assert small.run(*command, status=1).stderr == "error: params.yaml: Permission denied\n"
