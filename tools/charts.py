"""Charts that open anywhere: the page that DVC puts its plots into, with Vega inside.

DVC's own page loads Vega from a content network. With `plots.html_template` in .dvc/config,
`dvc plots show` and `dvc plots diff` use the page made here instead.
"""

from pathlib import Path
from string import Template

import vl_convert

from stages.lib import files
from stages.lib.errors import report

TEMPLATE = Path("tools/plots.html")
PAGE = Path(".venv/plots.html")


def vega() -> str:
    """A script element that defines vegaEmbed and loads nothing else."""
    return f"<script>{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed')}</script>"


def main() -> None:
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(vega=vega())
    with files.atomic(PAGE) as file:
        file.write(page.encode())


if __name__ == "__main__":
    report(main)
