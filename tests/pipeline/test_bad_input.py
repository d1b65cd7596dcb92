"""What goes wrong is said in a line, with status 1, and leaves every output as it was."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from stages.lib import files
from tests.conftest import Workspace


def drop_in(workspace: Workspace, **changes: np.ndarray) -> None:
    arrays = {
        "x_train": np.zeros((20, 28, 28), np.uint8),
        "y_train": np.zeros(20, np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.zeros(2, np.uint8),
    }
    files.write_arrays(workspace.path / "data/raw/mnist.npz", arrays | changes)
    workspace.set_params(**{"prepare.dataset": "mnist"})


def truncate(
    workspace: Workspace, name: str, make: Callable[[Workspace], None] | None = None
) -> None:
    path = workspace.path / name
    if make:
        make(workspace)
    content = path.read_bytes()
    path.unlink()  # It may be a link into DVC's cache.
    path.write_bytes(content[: len(content) // 2])


CASES: dict[str, tuple[str, Callable[[Workspace], None], str]] = {
    "unknown dataset": (
        "prepare",
        lambda w: w.set_params(**{"prepare.dataset": "emnist"}),
        "params.yaml: prepare.dataset is 'emnist'; must be mnist or uci_digits",
    ),
    "mistake in another stage's group": (
        "prepare",
        lambda w: w.set_params(**{"train_hidden.units": -1}),
        "params.yaml: train_hidden.units is -1",
    ),
    "no params.yaml": (
        "evaluate",
        lambda w: (w.path / "params.yaml").unlink(),
        "params.yaml: no such file",
    ),
    "not MNIST": ("prepare", drop_in, "data/raw/mnist.npz: its content is not mnist's"),
    "label out of range": (
        "prepare",
        lambda w: drop_in(w, y_test=np.array([0, 12], np.uint8)),
        "data/raw/mnist.npz: y_test has the label 12",
    ),
    "wrong shape": (
        "prepare",
        lambda w: drop_in(w, x_test=np.zeros((2, 784), np.uint8)),
        "data/raw/mnist.npz: x_test is uint8 (2, 784)",
    ),
    "truncated raw data": (
        "prepare",
        lambda w: truncate(w, "data/raw/mnist.npz", drop_in),
        "data/raw/mnist.npz: not a readable .npz file",
    ),
    "altered shipped data": (
        "prepare",
        lambda w: truncate(w, "data/raw/uci_digits.npz"),
        "data/raw/uci_digits.npz: not a readable .npz file",
    ),
    "no prepared data": (
        "train_linear",
        lambda w: shutil.rmtree(w.path / "data/prepared"),
        "data/prepared/train.npz: no such file",
    ),
    "truncated prepared data": (
        "train_hidden",
        lambda w: truncate(w, "data/prepared/validation.npz"),
        "data/prepared/validation.npz: not a readable .npz file",
    ),
    "truncated model": (
        "evaluate",
        lambda w: truncate(w, "models/hidden.keras"),
        "models/hidden.keras: not a usable Keras model",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(small: Workspace, case: str) -> None:
    stage, spoil, message = CASES[case]
    spoil(small)
    before = {
        path: path.read_bytes()
        for folder in ("data", "models", "metrics", ".dvc/cache")
        for path in (small.path / folder).rglob("*")
        if path.is_file()
    }
    done = small.stage(stage, status=1)
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1
    after = {
        path: path.read_bytes()
        for folder in ("data", "models", "metrics", ".dvc/cache")
        for path in (small.path / folder).rglob("*")
        if path.is_file()
    }
    assert before == after


def test_plain_repro_never_falls_back(small: Workspace) -> None:
    small.set_params(**{"prepare.dataset": "mnist"})
    done = small.dvc("repro", status=255)
    assert "put the file there" in done.stderr
    assert "dvc exp run -S prepare.dataset=uci_digits" in done.stderr
    assert "Traceback" not in done.stderr
