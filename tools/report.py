"""`make report [REV=main] [REV2=workspace]`: two revisions in one self-contained HTML file."""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image
from pydantic import BaseModel, FiniteFloat, TypeAdapter

from digits import data, files, formats, paths
from digits.errors import UserError
from digits.stage import run_main
from digits.text import printable, shorten
from tools import charts, compare, history
from tools.compare import Comparison
from tools.history import WORKSPACE, AbsentError, Revision

TEMPLATE = Path("tools/report.html")
PAGE = Path("report/index.html")
METRICS = Path("metrics")
MAX_DISAGREEMENTS = 24
MAX_CELL = 40


class Detail(BaseModel, extra="allow"):
    """An entry of metrics/details.json: the metrics of a model for a split."""

    __pydantic_extra__: dict[str, FiniteFloat]
    model: str
    split: str


DETAILS = TypeAdapter(list[Detail]).validate_json


def main() -> None:
    first = history.find(os.environ.get("REV") or "HEAD")
    second = history.find(os.environ.get("REV2") or WORKSPACE)
    page = html(first, second).encode()
    files.write(PAGE, page)
    print(printable(f"{PAGE}: {first.name} and {second.name}, {len(page) / 1e6:.1f} MB"))


def html(first: Revision, second: Revision) -> str:
    """The page. Raises UserError if a file that it would show is not the one in dvc.lock."""
    both, names = (first, second), [first.name, second.name]
    changes = [(revision.name, history.unrun(revision)) for revision in both]
    warnings = [f"{name}: changed since its run: {changed}" for name, changed in changes if changed]
    old, new = (_files(revision, warnings) for revision in both)
    compared: dict[str, Comparison] = {}
    try:
        compared = compare.on_same_images(first, second)
        verdicts, commands = compare.conclusions(compared, first, second)
    except UserError as error:
        verdicts, commands = [str(error)], []
    parameters = [history.lock(revision).parameters for revision in both]
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        vega=charts.vega().replace("</script", "<\\/script"),
        names=names,
        verdicts=verdicts,
        commands=commands,
        more_seeds=compare.MORE_SEEDS,
        about=[
            ("commit", *map(compare.origin, both)),
            ("data set", *(_value(values.get("prepare.dataset")) for values in parameters)),
        ],
        parameters=_rows(*parameters),
        metrics=_rows(_metrics(first, old), _metrics(second, new)),
        disagreements=_disagreements(compared, second, warnings),
        charts=list(_charts(names, warnings)),
        figures=[
            (path.name, old.get(path), new.get(path)) for path in old | new if path.suffix == ".png"
        ],
        warnings=list(dict.fromkeys(warnings)),
    )


def _files(revision: Revision, warnings: list[str]) -> dict[Path, bytes]:
    """All files that a run wrote to metrics/; one that cannot be read is a warning."""
    found = {}
    for output in history.lock(revision).outputs:
        if Path(output).is_relative_to(METRICS):
            try:
                for path in history.files(revision, output):
                    found[path] = history.read(revision, path)
            except AbsentError as error:
                warnings.append(str(error))
    return found


def _metrics(revision: Revision, files: Mapping[Path, bytes]) -> dict[str, float]:
    """All metrics, as in {"hidden test accuracy": 0.9784}."""
    found: dict[str, float] = {}
    for model in history.lock(revision).models:
        path = paths.metrics(model)
        scores = history.parse(history.METRICS, files.get(path, b"{}"), f"{revision.name}: {path}")
        for split, values in scores.items():
            found |= {f"{model} {split} {key}": value for key, value in values.items()}
    content = files.get(paths.DETAILS, b"[]")
    for entry in history.parse(DETAILS, content, f"{revision.name}: {paths.DETAILS}"):
        values = entry.model_extra or {}
        found |= {f"{entry.model} {entry.split} {key}": value for key, value in values.items()}
    return found


def _rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Name, both values and the change of everything in two mappings."""
    return [
        (name, _value(old.get(name)), _value(new.get(name)), _change(old.get(name), new.get(name)))
        for name in dict.fromkeys([*old, *new])
    ]


def _value(value: Any) -> str:
    return "-" if value is None else shorten(history.shown(value), MAX_CELL)


def _change(old: Any, new: Any) -> str:
    if type(old) is type(new) in (int, float) and old != new:
        return f"{new - old:+.{formats.SIGNIFICANT_DIGITS}g}"
    return "" if history.shown(old) == history.shown(new) else "changed"


def _disagreements(
    compared: Mapping[str, Comparison], second: Revision, warnings: list[str]
) -> list[dict[str, Any]]:
    """For each model, the test images on which the revisions disagree, most confident first."""
    try:
        content = history.read(second, paths.prepared("test")) if compared else b""
        names = dict(enumerate(history.dataset(second).labels)) if compared else {}
    except AbsentError as error:
        warnings.append(str(error))
        return []
    found: list[dict[str, Any]] = []
    for model, (labels, old, new, confidence) in compared.items():
        images = formats.parse_arrays(content, str(paths.prepared("test")), ["images"])["images"]
        differing = np.flatnonzero(old != new)
        shown = differing[np.argsort(-confidence[differing], kind="stable")][:MAX_DISAGREEMENTS]
        tiles = [
            (
                row,
                _png(data.square(images[[row]])[0]),
                *(names.get(side[row], f"{side[row]:.0f}") for side in (labels, old, new)),
            )
            for row in shown
        ]
        found.append({"model": model, "count": len(differing), "tiles": tiles})
    return found


def _png(image: np.ndarray) -> bytes:
    """A picture of an image float32 (side, side) from 0 (paper) to 1 (ink)."""
    content = io.BytesIO()
    Image.fromarray(np.round(255 - 255 * image).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def _charts(names: list[str], warnings: list[str]) -> Iterator[Any]:
    """The charts of `dvc plots diff`, with the revisions in the order of the page."""
    command = [sys.executable, "-m", "dvc", "plots", "diff", "--json", "--", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc plots diff: {done.stderr.strip().splitlines()[0]}")
    plots = json.loads(done.stdout)
    for error in plots.get("errors", []):
        warnings.append(f"{error['rev']}: no chart of {error.get('source') or error['msg']}")
    for plot in (plot for found in plots.get("data", {}).values() for plot in found):
        if plot["type"] == "vega" and plot["content"]:
            # The order of the revisions in a legend.
            text = json.dumps(plot["content"])
            yield json.loads(text.replace(json.dumps(names[::-1]), json.dumps(names)))


if __name__ == "__main__":
    run_main(main)
