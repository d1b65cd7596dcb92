"""Bad input to a stage: one line that names the file, status 1, and every output untouched.

One mistake of each kind for each file; the unit tests have the others.
"""

import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import Workspace

# Corrupts the intact file whose path it is given.
Corrupt = Callable[[Path], object]

PARAMS, RAW = "params.yaml", "data/raw/small.npz"
TRAIN, VALIDATION, TEST = (f"data/prepared/{name}.npz" for name in ("train", "validation", "test"))
LINEAR, HIDDEN = "models/linear.keras", "models/hidden.keras"


def replace(old: bytes, new: bytes) -> Corrupt:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new, 1))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def copy_of(name: str) -> Corrupt:
    """Replace it by another file of the workspace."""
    return lambda path: shutil.copyfile(path.parent / name, path)


def change_arrays(**changes: Callable[[np.ndarray], np.ndarray] | None) -> Corrupt:
    """Change arrays of an .npz file; None removes one. Pickles an array of objects."""

    def corrupt(path: Path) -> None:
        arrays = dict(np.load(path))
        for name, change in changes.items():
            array = arrays.pop(name)
            if change:
                arrays[name] = change(array)
        np.savez(path, **arrays)

    return corrupt


def fill(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.full_like(array, value)


def shorten_header(path: Path) -> None:
    """Flip a bit of an array's shape."""
    # Not compressed, so that it can be found.
    np.savez(path, **np.load(path))
    replace(b"(1200, 784)", b"(1000, 784)")(path)


def change_entry(name: str, change: Callable[[bytes], bytes]) -> Corrupt:
    """Change an entry of a .keras file."""

    def corrupt(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        entries[name] = change(entries[name])
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)

    return corrupt


def as_lambda(config: bytes) -> bytes:
    """Make the first Dense layer one that runs code."""
    values = json.loads(config)
    values["config"]["layers"][1]["class_name"] = "Lambda"
    return json.dumps(values).encode()


def with_nan(weights: bytes) -> bytes:
    content = io.BytesIO(weights)
    with h5py.File(content, "r+") as file:
        file["layers/dense/vars/0"][0, 0] = np.nan
    return content.getvalue()


UNUSABLE_ARRAYS, UNUSABLE_MODEL = ": not a usable .npz file (", ": not a model of this pipeline ("
# What is wrong with which file: the stage that is run, and the message after the file's name.
CASES: dict[tuple[str, str], tuple[str, Corrupt, str]] = {
    (PARAMS, "absent"): ("train_linear", Path.unlink, ": no such file; run from the top of the "),
    (PARAMS, "a folder"): ("train_hidden", make_folder, ": Is a directory\n"),
    (PARAMS, "a link to itself"): ("prepare", link_to_itself, ": Too many levels of symbolic"),
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
    (PARAMS, "a path as a data set"): (
        "prepare",
        replace(b"dataset: small", b"dataset: ../small"),
        ": prepare.dataset is '../small'; must be the name of a file in data/raw/ without .npz",
    ),
    (PARAMS, "too many validation images"): (
        "prepare",
        replace(b"validation_size: 300", b"validation_size: 1500"),
        f": prepare.validation_size is 1500, but {RAW} has 1500 training images; at least one",
    ),
    (RAW, "absent"): ("prepare", Path.unlink, ": no such file\n"),
    (RAW, "a model"): (
        "prepare",
        copy_of("../../models/linear.keras"),
        f"{UNUSABLE_ARRAYS}it has no array x_t",
    ),
    (RAW, "pickles"): (
        "prepare",
        change_arrays(y_test=lambda a: a.astype(object)),
        f"{UNUSABLE_ARRAYS}y_test: Object arrays cannot be loaded",
    ),
    (RAW, "a label too large"): (
        "prepare",
        change_arrays(y_test=fill(12)),
        ": y_test has the label 12; labels are 0 to 9\n",
    ),
    (RAW, "images that are not square"): (
        "prepare",
        change_arrays(x_train=lambda a: a[:, 1:]),
        ": x_train is uint8 (1500, 27, 28): its images are not square\n",
    ),
    (TRAIN, "truncated"): ("train_linear", truncate, f"{UNUSABLE_ARRAYS}File is not a zip file)"),
    (TRAIN, "a flipped bit"): ("train_hidden", shorten_header, f"{UNUSABLE_ARRAYS}Bad CRC-32"),
    (VALIDATION, "smaller images"): (
        "train_hidden",
        change_arrays(images=lambda a: a[:, :49]),
        f": its images have 49 pixels, those of {TRAIN} have 784; regenerate it: dvc repro -f",
    ),
    (TEST, "NaN"): (
        "evaluate",
        change_arrays(images=fill(np.nan)),
        ": images has values outside 0..1; regenerate it: dvc repro -f prepare\n",
    ),
    (LINEAR, "absent"): ("evaluate", Path.unlink, ": no such file\n"),
    (HIDDEN, "the other model"): (
        "evaluate",
        copy_of("linear.keras"),
        ": it holds the model 'linear'",
    ),
    (LINEAR, "code"): (
        "evaluate",
        change_entry("config.json", as_lambda),
        f"{UNUSABLE_MODEL}it has keras.layers.Lambda instead of keras.layers.Dense)\n",
    ),
    (HIDDEN, "a weight that is NaN"): (
        "evaluate",
        change_entry("model.weights.h5", with_nan),
        f"{UNUSABLE_MODEL}dense/0 has weights that are not finite)\n",
    ),
    (HIDDEN, "a zip bomb"): (
        "evaluate",
        change_entry("model.weights.h5", lambda _: bytes(300 * 2**20)),
        f"{UNUSABLE_MODEL}unpacked it is larger than 256 MB)\n",
    ),
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
    if path.is_dir():
        path.rmdir()
    saved.replace(path)


@pytest.mark.parametrize("case", CASES, ids=": ".join)
@pytest.mark.usefixtures("corrupted")
def test_bad_input(workspace: Workspace, case: tuple[str, str]) -> None:
    stage, _, message = CASES[case]
    before = workspace.written()
    done = workspace.stage(stage, status=1)
    assert done.stderr.startswith(f"error: {case[0]}{message}")
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 400
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


def test_a_python_without_the_packages(small: Workspace, tmp_path: Path) -> None:
    """As with .venv/bin/dvc repro, without activation."""
    bare = tmp_path / "bare"
    small.run(sys.executable, "-m", "venv", "--without-pip", bare)
    dvc = str(shutil.which("dvc", path=small.environment["PATH"]))
    path = f"{bare}/bin{os.pathsep}{small.environment['PATH']}"
    done = small.run(dvc, "repro", "--force", "prepare", status=255, env={"PATH": path})
    line, failed = done.stderr.splitlines()
    assert line.startswith(f"error: {bare}/bin/python lacks keras, ")
    assert line.endswith("; run make, then: source .venv/bin/activate")
    assert failed.startswith("ERROR: failed to reproduce 'prepare'")
