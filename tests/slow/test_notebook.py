"""notebooks/digits.ipynb, run from top to bottom on the finished small pipeline."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.conftest import ROOT, Workspace

NOTEBOOK = Path("notebooks/digits.ipynb")


def run_notebook(workspace: Workspace) -> list[Any]:
    """Run the notebook as Jupyter would, its training included; what it shows."""
    notebook = nbformat.read(workspace.path / NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "TRAIN = False\n" in code[-1].source
    code[-1].source = code[-1].source.replace("TRAIN = False\n", "TRAIN = True\n")
    folder = workspace.path / NOTEBOOK.parent
    client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}})
    client.execute(env=workspace.environment)
    return [output for cell in code for output in cell.outputs]


def text(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") for output in outputs) + "".join(
        output["data"].get("text/markdown", output["data"]["text/plain"])
        for output in outputs
        if "data" in output
    )


def pictures(outputs: list[Any]) -> Iterator[str]:
    return (
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    )


def test_it_is_committed_without_outputs() -> None:
    cells = json.loads((ROOT / NOTEBOOK).read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_it_shows_what_the_pipeline_wrote_and_trains_another_width(small: Workspace) -> None:
    def values(path: str) -> Any:
        return json.loads((small.path / path).read_text())

    accuracies = {
        name: values(f"metrics/{name}.json")["test"]["accuracy"] for name in ("linear", "hidden")
    }
    gain = values("metrics/comparison.json")["accuracy_gain"]
    linear = (small.path / "models/linear.keras").read_bytes()

    outputs = run_notebook(small)
    for name, accuracy in accuracies.items():
        told = f"{name}: accuracy {accuracy:.4f} in metrics/{name}.json, {accuracy:.4f} just now"
        assert told in text(outputs)
    assert f"**{100 * gain:.2f}**" in text(outputs)
    # Training images, predictions and confusion matrix of either model, history.
    assert len(list(pictures(outputs))) == 6
    trained = small.lock()["train_hidden"]["params"]["params.yaml"]["train_hidden"]
    assert trained["units"] == 200
    assert (small.path / "models/linear.keras").read_bytes() == linear
