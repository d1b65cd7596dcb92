"""Run the notebook and save it with its outputs, for `make pictures`."""

from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path("notebooks/digits.ipynb")


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # Without times, the same results give the same file.
    nbclient.execute(notebook, cwd=str(NOTEBOOK.parent), record_timing=False, coalesce_streams=True)
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
