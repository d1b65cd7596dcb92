"""notebooks/digits.ipynb: committed with its outputs, and run on the finished small pipeline."""

import json
from typing import Any

import nbformat

from tests.conftest import ROOT, Workspace, committed

NOTEBOOK = "notebooks/digits.ipynb"


def outputs(notebook: Any) -> tuple[str, int]:
    """The text of a notebook's outputs, and the number of its pictures."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in found)
    return text, sum("image/png" in output.get("data", {}) for output in found)


def test_it_is_committed_with_the_outputs_of_the_committed_results() -> None:
    text, pictures = outputs(nbformat.read(ROOT / NOTEBOOK, as_version=4))
    accuracy = json.loads(committed("metrics/hidden.json"))["test"]["accuracy"]
    assert f"hidden: test accuracy {accuracy:.4f}, just now {accuracy:.4f}" in text
    assert pictures > 3


def test_it_shows_the_results_and_runs_an_experiment(small: Workspace) -> None:
    metrics = json.loads((small.path / "metrics/hidden.json").read_text())
    linear = (small.path / "models/linear.keras").read_bytes()
    path = small.path / NOTEBOOK
    text = path.read_text("utf-8")
    assert text.count("RUN = False") == 1
    path.write_text(text.replace("RUN = False", "RUN = True"), "utf-8")
    small.run_module("tools.notebook")
    shown, _ = outputs(nbformat.read(path, as_version=4))
    accuracy = f"{metrics['test']['accuracy']:.4f}"
    assert f"hidden: test accuracy {accuracy}, just now {accuracy}" in shown
    trained = small.lock()["train_hidden"]["params"]["params.yaml"]["train_hidden"]
    assert trained["units"] == 200
    assert (small.path / "models/linear.keras").read_bytes() == linear
