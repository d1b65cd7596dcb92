"""notebooks/digits.ipynb, run from top to bottom on the finished small pipeline."""

import json

import nbformat
from nbclient import NotebookClient

from tests.conftest import ROOT, Workspace

NOTEBOOK = "notebooks/digits.ipynb"


def test_it_is_committed_without_outputs() -> None:
    cells = json.loads((ROOT / NOTEBOOK).read_text())["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")


def test_it_shows_what_the_pipeline_wrote_and_trains_another_width(small: Workspace) -> None:
    metrics = json.loads((small.path / "metrics/hidden.json").read_text())
    linear = (small.path / "models/linear.keras").read_bytes()
    notebook = nbformat.read(small.path / NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "TRAIN = False\n" in code[-1].source
    code[-1].source = code[-1].source.replace("TRAIN = False\n", "TRAIN = True\n")
    folder = str(small.path / "notebooks")
    client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}})
    client.execute(env=small.environment)

    outputs = [output for cell in code for output in cell.outputs]
    text = "".join(output.get("text", "") for output in outputs)
    accuracy = f"{metrics['test']['accuracy']:.4f}"
    assert f"hidden: accuracy {accuracy} in metrics/hidden.json, {accuracy} just now" in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
    trained = small.lock()["train_hidden"]["params"]["params.yaml"]["train_hidden"]
    assert trained["units"] == 200
    assert (small.path / "models/linear.keras").read_bytes() == linear
