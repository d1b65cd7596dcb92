"""Render the HTML pages: base.html has what they share."""

from typing import Any

import jinja2

from digits.plumbing.terminal import sanitize
from revisions import charts


def render(template: str, **values: Any) -> str:
    """Render a self-contained page from a template of this folder; each value in it is text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader("revisions"),
        autoescape=True,
        finalize=lambda value: sanitize(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    library = charts.vega().replace("</script", "<\\/script")
    return environment.get_template(template).render(vega=library, **values)
