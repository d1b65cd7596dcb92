"""`make report REV=main [REV2=workspace]`: one page that compares two revisions.

The page, report/index.html, holds its charts' code and its pictures, so it can be sent to somebody
and opens without a network. `--markdown` prints the verdict and the tables instead.
"""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

from digits import files, paths, splits
from digits.errors import UserError
from digits.run import run_main
from tools import charts, compare, revisions
from tools.compare import Comparison
from tools.revisions import WORKSPACE, Revision

TEMPLATE = Path("tools/report.html")
PAGE = Path("report/index.html")
MOST_DISAGREEMENTS = 24
LONGEST_CELL = 40
NOTHING = "-"


class Side(NamedTuple):
    """A revision, what it was run with and what came out, by name."""

    revision: Revision
    parameters: dict[str, Any]
    metrics: dict[str, Any]


class Missing:
    """Files that could not be read, and why; the page lists them."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def read(self, revision: Revision, path: Path) -> bytes | None:
        """The file at the revision, or None."""
        try:
            return revisions.read(revision, path)
        except UserError as error:
            self.reasons.append(str(error))
            return None


def main() -> None:
    first = revisions.find(os.environ.get("REV", "HEAD"))
    second = revisions.find(os.environ.get("REV2", WORKSPACE))
    if sys.argv[1:] == ["--markdown"]:
        print(markdown(first, second))
        return
    page = html(first, second).encode()
    files.write(PAGE, page)
    print(f"{PAGE}: {first.name} against {second.name}, {len(page) / 1e6:.1f} MB")


def side(revision: Revision, missing: Missing) -> Side:
    """What is known of a revision. Raises UserError if it has no run of this pipeline."""
    metrics: dict[str, Any] = {}
    for name in paths.MODELS:
        for path in (paths.metrics(name), paths.details(name)):
            content = missing.read(revision, path)
            values = files.parse_json(content, f"{revision.name}: {path}") if content else {}
            for split, found in values.items():
                metrics |= {f"{name} {split} {key}": value for key, value in found.items()}
    parameters = revisions.parameters(revisions.stages(revision))
    return Side(revision, parameters, metrics)


def compare_models(first: Revision, second: Revision) -> tuple[dict[str, Comparison], list[str]]:
    """The comparison of each model, and what `make compare` says of them.

    Where they cannot be compared, no comparison, and the reason.
    """
    try:
        compared = compare.compare(first, second)
        return compared, [line for line in compare.conclusions(compared, first, second) if line]
    except UserError as error:
        return {}, [str(error)]


def rows(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Name, both values and the change of everything in two mappings."""
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        yield name, _value(before), _value(after), "" if before == after else _change(before, after)


def _change(before: Any, after: Any) -> str:
    if type(before) is type(after) is int:
        return _short(f"{after - before:+}")
    if type(before) is type(after) is float:
        return f"{after - before:+.{files.SIGNIFICANT_DIGITS}g}"
    return "differs"


def _value(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.{files.SIGNIFICANT_DIGITS}g}"
    return _short(value if isinstance(value, str) else json.dumps(value))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}..."


def commit(revision: Revision) -> str:
    """The revision's commit and date, in words."""
    text = f"commit {revision.commit[:7]} of {revision.date:%Y-%m-%d %H:%M}"
    return f"on {text}" if revision.name == WORKSPACE else text


def markdown(first: Revision, second: Revision) -> str:
    """The verdict, the parameters that differ and the metrics, as Markdown."""
    missing = Missing()
    old, new = side(first, missing), side(second, missing)
    _, verdicts = compare_models(first, second)
    title = f"### {first.name} ({commit(first)}) against {second.name} ({commit(second)})"
    text = [title, "", "```", *compare.wrapped(verdicts), "```", ""]
    for title, before, after in (
        ("parameter", old.parameters, new.parameters),
        ("metric", old.metrics, new.metrics),
    ):
        differing = [row for row in rows(before, after) if row[3]]
        if differing:
            table = [(title, first.name, second.name, "change"), ("---", "---:", "---:", "---:")]
            lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in table]
            lines += [" | ".join(row) for row in differing]
            text += [f"| {line} |" for line in lines] + [""]
        else:
            text += [f"No {title} differs.", ""]
    return "\n".join([*text, *missing.reasons]).rstrip()


def html(first: Revision, second: Revision) -> str:
    """The page."""
    missing = Missing()
    old, new = side(first, missing), side(second, missing)
    header = ["", first.name, second.name]
    compared, verdicts = compare_models(first, second)
    disagreements = _disagreements(compared, first, second, missing)
    drawn, pictures = _charts(first, second, missing), _figures(first, second, missing)
    about = [
        ("commit", commit(first), commit(second)),
        ("data set", *(_value(known.parameters.get("prepare.dataset")) for known in (old, new))),
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        vega=charts.vega().replace("</script", "<\\/script"),
        first=escape(first.name),
        second=escape(second.name),
        missing=_missing(missing.reasons),
        verdicts="".join(map(_verdict, verdicts)),
        revisions=_table(header, about),
        parameters=_table([*header, "change"], rows(old.parameters, new.parameters)),
        metrics=_table([*header, "change"], rows(old.metrics, new.metrics)),
        disagreements=disagreements,
        charts=drawn,
        figures=pictures,
    )


def _missing(reasons: list[str]) -> str:
    if not reasons:
        return ""
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<div class="missing">These files cannot be shown:<ul>{lines}</ul></div>'


def _verdict(line: str) -> str:
    detail = ' class="detail"' if line.startswith(" ") else ""
    return f"<p{detail}>{escape(line.strip())}</p>"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; lines whose last of four cells is not empty are marked."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr{' class=differs' if len(line) == 4 and line[3] else ''}>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>"
        for line in lines
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _disagreements(
    compared: Mapping[str, Comparison], first: Revision, second: Revision, missing: Missing
) -> str:
    """For each model, the test images for which the revisions predict different digits."""
    if not compared:
        return "<p>Not known: see the top of the page.</p>"
    content = missing.read(second, paths.prepared("test"))
    if content is None:
        return "<p>The test images are not here.</p>"
    (flat,) = files.parse_arrays(content, str(paths.prepared("test")), ["images"])
    images = splits.square(flat)
    parts = []
    for name, (old, new, _) in compared.items():
        differing = np.flatnonzero(old.digits != new.digits)
        confidence = np.maximum(old.confidence, new.confidence)[differing]
        shown = differing[np.argsort(-confidence, kind="stable")][:MOST_DISAGREEMENTS]
        tiles = []
        for row in shown:
            lines = [f"#{row}: label {old.labels[row]}"]
            for revision, digits in ((first, old.digits), (second, new.digits)):
                mark = "" if digits[row] == old.labels[row] else " ✗"
                lines.append(f"{escape(revision.name)}: {digits[row]}{mark}")
            caption = f"<figcaption>{'<br>'.join(lines)}</figcaption>"
            image = _image(_png(images[row]), f"test image {row}")
            tiles.append(f"<figure>{image}{caption}</figure>")
        most = f"{len(shown)} of {len(differing)}, the most confident first" if tiles else "none"
        parts.append(f'<h3>{name} model: {most}</h3><div class="digits">{"".join(tiles)}</div>')
    return "".join(parts)


def _png(image: np.ndarray) -> bytes:
    """An image float32 (side, side) from 0 (paper) to 1 (ink)."""
    content = io.BytesIO()
    Image.fromarray(np.round(255 - 255 * image).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def _image(content: bytes, text: str) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{encoded}">'


def _charts(first: Revision, second: Revision, missing: Missing) -> str:
    """What `dvc plots diff` draws, with the revisions in the order of the page."""
    names = [first.name, second.name]
    command = ["dvc", "plots", "diff", "--json", "--", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc plots diff: {done.stderr.strip().splitlines()[-1]}")
    plots = json.loads(done.stdout)
    for error in plots.get("errors", []):
        missing.reasons.append(f"{error['rev']}: {error.get('source') or error['msg']}")
    return "\n".join(
        _chart(_ordered(plot["content"], names))
        for found in plots.get("data", {}).values()
        for plot in found
        if plot["type"] == "vega" and plot["content"]
    )


def _ordered(spec: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A chart whose legend and data have the revisions in the order of `names`."""
    values = spec["data"]["values"]
    values.sort(key=lambda value: names.index(value["rev"]))

    def reorder(part: Any) -> Any:
        if isinstance(part, list):
            return [reorder(item) for item in part]
        if not isinstance(part, dict):
            return part
        if set(part.get("domain", [])) == set(names):
            return part | {"domain": names}
        return {key: reorder(item) for key, item in part.items()}

    return {key: item if key == "data" else reorder(item) for key, item in spec.items()}


def _chart(spec: dict[str, Any]) -> str:
    # Within a script element no HTML is unescaped, but "</script>" would end it.
    text = json.dumps(spec).replace("<", "\\u003c")
    return f'<div class="chart"><div></div><script type="application/json">{text}</script></div>'


def _figures(first: Revision, second: Revision, missing: Missing) -> str:
    """The figures that dvc.yaml names, as they are at either revision."""
    plots = yaml.safe_load(Path("dvc.yaml").read_text("utf-8"))["plots"]
    parts = []
    for path in (Path(plot) for plot in plots if isinstance(plot, str)):
        contents = [missing.read(revision, path) for revision in (first, second)]
        images = [
            _image(content, f"{path.name}, {revision.name}") if content else "Not here."
            for revision, content in zip((first, second), contents, strict=True)
        ]
        shown = "".join(
            f"<figure><figcaption>{escape(revision.name)}</figcaption>{image}</figure>"
            for revision, image in zip((first, second), images, strict=True)
        )
        same = contents[0] is not None and contents[0] == contents[1]
        note = ' <span class="soft">(identical)</span>' if same else ""
        parts.append(f'<h3>{path.name}{note}</h3><div class="pair">{shown}</div>')
    return "\n".join(parts)


if __name__ == "__main__":
    run_main(main)
