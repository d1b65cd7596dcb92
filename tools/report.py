"""`make report`: one page, report/index.html, that compares a revision with the workspace.

What it shows is what `dvc params diff`, `dvc metrics diff` and `dvc plots diff` say. The page holds
its charts' code and its pictures, so it can be sent to somebody and opens without a network.
"""

import argparse
import base64
import json
import subprocess
import tempfile
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from stages.lib import files, paths
from stages.lib.errors import UserError, report
from tools import charts

TEMPLATE = Path("tools/report.html")
PAGE = Path("report/index.html")
WORKSPACE = "workspace"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.report", description=__doc__)
    parser.add_argument("rev", nargs="?", default="HEAD", help="branch, tag, commit or experiment")
    rev = parser.parse_args().rev
    page = render(rev)
    with files.atomic(PAGE) as file:
        file.write(page.encode())
    print(f"{PAGE}: {rev} against the workspace, {len(page) / 1e6:.1f} MB")


def render(rev: str) -> str:
    """The page, as HTML. Raises UserError if DVC does not know `rev`."""
    params = _dvc("params", rev)
    metrics = _dvc("metrics", rev, "--all")
    with tempfile.TemporaryDirectory() as folder:
        # Where DVC puts the pictures of both revisions.
        plots = _dvc("plots", rev, "--out", folder)
        # What the history says is in the charts of accuracy and loss.
        history = {str(paths.history(name)) for name in paths.MODELS}
        drawn = {
            name: found for name, found in plots.get("data", {}).items() if name not in history
        }
        vega = [plot for found in drawn.values() for plot in found if plot["type"] == "vega"]
        images = {
            name: [plot for plot in found if plot["type"] == "image"]
            for name, found in drawn.items()
        }
        return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
            vega=charts.vega(),
            rev=escape(rev),
            summary=_summary(params, metrics),
            missing=_missing(plots.get("errors", [])),
            params=_tables(params, rev) or "<p>No parameter differs.</p>",
            metrics=_tables(metrics, rev) or "<p>Neither revision has metrics.</p>",
            charts="\n".join(_chart(plot["content"]) for plot in vega),
            pictures="\n".join(
                _pictures(name, plots, rev) for name, plots in images.items() if plots
            ),
        )


def _dvc(what: str, rev: str, *options: str) -> Any:
    """What `dvc ... diff --json` prints, parsed."""
    done = subprocess.run(
        ["dvc", what, "diff", "--json", *options, "--", rev],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(done.stderr.strip().splitlines()[-1].removeprefix("ERROR: "))
    return json.loads(done.stdout)


def _differs(values: dict[str, Any]) -> bool:
    return bool(values.get("old") != values.get("new"))


def _summary(params: dict[str, Any], metrics: dict[str, Any]) -> str:
    """How many parameters and metrics differ, in a sentence."""
    counts = [
        sum(_differs(values) for rows in found.values() for values in rows.values())
        for found in (params, metrics)
    ]
    if not any(counts):
        return "Nothing differs: the same parameters, the same metrics."
    total = sum(len(rows) for rows in metrics.values())
    return (
        f"Parameters that differ: {counts[0]}. Metrics that differ: {counts[1]} of {total}; they "
        "are shaded, and the change is from the first column to the second."
    )


def _tables(differences: dict[str, Any], rev: str) -> str:
    """A table for each file of what `dvc params diff` or `dvc metrics diff` found."""
    tables = []
    for path, rows in sorted(differences.items()):
        lines = [
            f"<tr{' class=differs' if _differs(values) else ''}><td>{escape(name)}</td>"
            f"<td>{_value(values.get('old'))}</td><td>{_value(values.get('new'))}</td>"
            f"<td>{_change(values)}</td></tr>"
            for name, values in sorted(rows.items())
        ]
        tables.append(
            f'<div class="wide"><table><caption>{escape(path)}</caption>'
            f"<tr><th></th><th>{escape(rev)}</th><th>{WORKSPACE}</th><th>change</th></tr>"
            f"{''.join(lines)}</table></div>"
        )
    return f'<div class="tables">{"".join(tables)}</div>' if tables else ""


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.{files.SIGNIFICANT_DIGITS}g}"
    return escape(value if isinstance(value, str) else json.dumps(value))


def _change(values: dict[str, Any]) -> str:
    # DVC subtracts truth values, too.
    if not _differs(values) or "diff" not in values or isinstance(values["new"], bool):
        return ""
    return f"{values['diff']:+.{files.SIGNIFICANT_DIGITS}g}"


def _chart(spec: dict[str, Any]) -> str:
    # Within a script element no HTML is unescaped, but "</script>" would end it.
    text = json.dumps(spec).replace("<", "\\u003c")
    return f'<div class="chart"><div></div><script type="application/json">{text}</script></div>'


def _pictures(name: str, plots: list[dict[str, Any]], rev: str) -> str:
    """One picture as it is at `rev` and in the workspace, side by side."""
    contents = {plot["revisions"][0]: Path(plot["url"]).read_bytes() for plot in plots}
    same = contents.get(rev) == contents.get(WORKSPACE)
    figures = []
    for revision in (rev, WORKSPACE):
        shown = "<p class=missing>Not there.</p>"
        if revision in contents:
            picture = base64.b64encode(contents[revision]).decode()
            alt = escape(f"{name}, {revision}")
            shown = f'<img alt="{alt}" src="data:image/png;base64,{picture}">'
        figures.append(f"<figure><figcaption>{escape(revision)}</figcaption>{shown}</figure>")
    note = ' <span class="soft">(identical)</span>' if same else ""
    return f'<h3>{escape(name)}{note}</h3><div class="pair">{"".join(figures)}</div>'


def _missing(errors: list[dict[str, Any]]) -> str:
    """What DVC could not show, and how to get it."""
    if not errors:
        return ""
    unread: dict[str, set[str]] = {}
    for error in errors:
        unread.setdefault(error["rev"], set()).add(error.get("source") or error["msg"])
    lines = [
        f"<li>{escape(rev)}: {', '.join(f'<code>{escape(file)}</code>' for file in sorted(found))}"
        for rev, found in sorted(unread.items())
    ]
    return (
        '<div class="missing">DVC cannot read these files, so what they show is missing below:'
        f"<ul>{''.join(lines)}</ul>If they are not on this machine: <code>dvc pull</code> fetches "
        "those of the workspace, <code>dvc fetch --all-branches</code> those of other branches, "
        "and <code>dvc repro</code> makes them. Then make the report anew.</div>"
    )


if __name__ == "__main__":
    report(main)
