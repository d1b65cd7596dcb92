"""`make pictures` runs the notebook and saves it with its outputs."""

from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path("notebooks/digits.ipynb")


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # Outputs without times: the same results, the same file.
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    client.execute()
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
