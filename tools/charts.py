"""The chart library for pages that open without a network.

DVC's own pages load Vega from a content network. tools/plots.html, which .dvc/config names as the
page for `dvc plots`, takes the copy that `make setup` puts into .venv.
"""

from pathlib import Path

import vl_convert

from digits import files
from digits.stage import run_main

LIBRARY = Path(".venv/vega.js")


def vega() -> str:
    """JavaScript that defines vegaEmbed and loads nothing else."""
    # Bundling takes seconds.
    return LIBRARY.read_text("utf-8") if LIBRARY.is_file() else _bundle()


def _bundle() -> str:
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")
    return bundle


def main() -> None:
    files.write(LIBRARY, _bundle().encode())


if __name__ == "__main__":
    run_main(main)
