"""Write the HTML pages: base.html has what they share."""

from pathlib import Path
from typing import Any

import jinja2

from digits.plumbing import files
from digits.plumbing.terminal import sanitize
from revisions import charts


def write(path: Path, title: str, template: str, **values: Any) -> None:
    """Write a self-contained page from a template of this folder; each value in it is text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader("revisions"),
        autoescape=True,
        finalize=lambda value: sanitize(value, "utf-8") if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    library = charts.vega().replace("</script", "<\\/script")
    page = environment.get_template(template).render(vega=library, **values).encode()
    files.write(path, page)
    print(sanitize(f"{path}: {title}, {len(page) / 1e6:.1f} MB"))
