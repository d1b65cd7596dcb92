"""Keep the chart library in .venv, for the report and plots.html, the page of `dvc plots`."""

from pathlib import Path

import vl_convert

from digits.plumbing import files
from digits.plumbing.stage import run_main

LIBRARY = Path(".venv/vega.js")


def vega() -> str:
    """Return JavaScript that defines vegaEmbed and loads nothing else."""
    # Bundling takes seconds.
    if LIBRARY.is_file():
        return LIBRARY.read_text("utf-8")
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"))


def main() -> None:
    LIBRARY.unlink(missing_ok=True)
    files.write(LIBRARY, vega().encode())


if __name__ == "__main__":
    run_main(main)
