"""notebooks/digits.ipynb: committed with its outputs, and run on the finished small pipeline."""

import json
from pathlib import Path

import nbformat

from tests.conftest import ROOT, Workspace, committed

NOTEBOOK = "notebooks/digits.ipynb"


def outputs(path: Path, metrics: bytes) -> int:
    """The number of pictures in a notebook; fails unless its text has the test accuracy."""
    notebook = nbformat.read(path, as_version=4)
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    accuracy = f"{json.loads(metrics)['test']['accuracy']:.4f}"
    text = "".join(output.get("text", "") for output in found)
    assert f"hidden: test accuracy {accuracy}, just now {accuracy}" in text
    return sum("image/png" in output.get("data", {}) for output in found)


def test_it_is_committed_with_the_outputs_of_the_committed_results() -> None:
    assert outputs(ROOT / NOTEBOOK, committed("metrics/hidden.json")) > 3


def test_it_shows_the_results_and_runs_an_experiment(small: Workspace) -> None:
    metrics = (small.path / "metrics/hidden.json").read_bytes()
    path = small.path / NOTEBOOK
    small.edit(str(NOTEBOOK), "RUN = False", "RUN = True")
    small.run_module("tools.notebook")
    assert outputs(path, metrics) > 3
    trained = small.lock()["train_hidden"]["params"]["params.yaml"]["train_hidden"]
    assert trained["units"] == 200
