"""`make pictures` runs the notebook and saves it with its outputs."""

from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path("notebooks/digits.ipynb")


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # Outputs without times: the same results, the same file.
    nbclient.execute(notebook, cwd=str(NOTEBOOK.parent), record_timing=False, coalesce_streams=True)
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
