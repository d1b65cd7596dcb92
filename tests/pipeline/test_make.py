"""What `make` does beyond `dvc repro`: the way out where MNIST is out of reach."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Workspace

SENTENCE = "MNIST is out of reach"


def test_without_mnist_the_shipped_digits_are_used_and_the_way_back_is_told(
    checkout: Callable[[], Workspace],
) -> None:
    workspace = checkout()
    # As on a newcomer's machine, Git knows nobody here.
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    nobody = ["env", *(f"--unset={name}" for name in names)]
    done = workspace.run(*nobody, sys.executable, "-m", "tools.run")
    assert SENTENCE in done.stdout
    assert "put mnist.npz into data/raw/" in done.stdout
    assert "Traceback" not in done.stderr
    scores = json.loads((workspace.path / "metrics/hidden.json").read_text())
    assert scores["test"]["accuracy"] > 0.8
    predictions = (workspace.path / "metrics/predictions/hidden.csv").read_text().splitlines()
    assert len(predictions) == 1 + 297
    # Again: everything is there.
    again = workspace.run(sys.executable, "-m", "tools.run")
    assert SENTENCE not in again.stdout
    assert "up to date" in again.stdout


def test_with_mnist_at_hand_the_pipeline_itself_runs(small: Workspace, mnist_file: Path) -> None:
    half = {"prepare.dataset": "mnist", "prepare.validation_size": 30_000}
    small.set_params(**half, **{"train_linear.epochs": 1, "train_hidden.epochs": 1})
    shutil.copy(mnist_file, small.path / "data/raw/mnist.npz")
    done = small.run(sys.executable, "-m", "tools.run")
    assert SENTENCE not in done.stdout
    assert "mnist: 30000 images to train on, 30000 to validate, 10000 to test" in done.stdout


def test_a_mistake_is_not_taken_for_a_missing_dataset(small: Workspace) -> None:
    small.set_params(**{"prepare.dataset": "mnist", "evaluate.examples": 0})
    done = small.run(sys.executable, "-m", "tools.run", status=1)
    assert done.stderr == (
        "error: params.yaml: evaluate.examples is 0; must be a whole number from 1 to 100\n"
    )
