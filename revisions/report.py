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

import numpy as np
from PIL import Image
from pydantic import FiniteFloat, TypeAdapter

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import announce, shorten
from digits.portable import formats
from revisions import compare, files, pages
from revisions.compare import SameImages
from revisions.files import WORKSPACE, MissingOutputError, Revision
from revisions.runs import readable

PAGE = Path("report/index.html")
MAX_DISAGREEMENTS = 24
MAX_CELL = 40
# metrics/details.json: the metrics of each "model" for each "split".
DETAILS = TypeAdapter(list[dict[str, FiniteFloat | str]]).validate_json


def main() -> None:
    first = files.find(os.environ.get("REV") or "HEAD")
    second = files.find(os.environ.get("REV2") or WORKSPACE)
    both, names = (first, second), [first.name, second.name]
    locks = [files.whole_lock(revision) for revision in both]
    warnings = [
        f"{revision.name}: changed since its run: {changed}"
        for revision in both
        if (changed := files.stale_inputs(revision))
    ]
    old, new = (_files(revision, warnings) for revision in both)
    compared: dict[str, Any] = {}
    try:
        same = compare.on_same_images(first, second)
        text, compared["commands"] = compare.conclusions(same, first, second)
        compared["verdicts"] = [f"{same.num_images:,} {same.split} images. {same.remark}", *text]
        compared["disagreements"] = list(_disagreements(same, second))
    except UserError as error:
        warnings.append(str(error))
    parameters = [lock.parameters for lock in locks]
    baselines = {lock.outputs[path] for lock in locks for path in [*lock.models.values()][:1]}
    same_baseline = len(baselines) < 2
    pages.write(
        PAGE,
        f"{first.name} and {second.name}",
        "report.html",
        base64=base64.b64encode,
        names=names,
        more_seeds=compare.MORE_SEEDS,
        about=[
            ("commit", *map(compare.origin, both)),
            ("data set", *(_value(values.get("prepare.dataset")) for values in parameters)),
        ],
        parameters=_rows(*parameters),
        metrics=_rows(_metrics(first, old), _metrics(second, new)),
        charts=_charts(names, warnings, same_baseline),
        same_baseline=same_baseline,
        figures=[
            (path.name, *(_few_colors(side[path]) if path in side else None for side in (old, new)))
            for path in old | new
            if path.suffix == ".png"
        ],
        warnings=list(dict.fromkeys(warnings)),
        **compared,
    )


def _files(revision: Revision, warnings: list[str]) -> dict[Path, bytes]:
    """Read all files that a run wrote to metrics/; warn of one that cannot be read."""
    contents = {}
    for output in files.lock(revision).outputs:
        if Path(output).is_relative_to(paths.METRICS):
            try:
                for path in files.list_files(revision, output):
                    contents[path] = files.read(revision, path)
            except MissingOutputError as error:
                warnings.append(str(error))
    return contents


def _metrics(revision: Revision, contents: Mapping[Path, bytes]) -> dict[str, Any]:
    """Return all metrics, as in {"hidden test accuracy": 0.9784}."""
    metrics: dict[str, Any] = {}
    content = contents.get(paths.DETAILS, b"[]")
    for entry in formats.parse(DETAILS, content, f"{revision.name}: {paths.DETAILS}"):
        measured = f"{entry.pop('model', '?')} {entry.pop('split', '?')}"
        metrics |= {f"{measured} {readable(key)}": value for key, value in entry.items()}
    return metrics | files.own_metrics(revision)


def _rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the name, both values and the change of everything in two mappings."""
    return [
        (name, _value(old.get(name)), _value(new.get(name)), _change(old.get(name), new.get(name)))
        for name in dict.fromkeys([*old, *new])
    ]


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "-" if value is None else shorten(files.format_value(value), MAX_CELL)


def _change(old: Any, new: Any) -> str:
    if files.format_value(old) == files.format_value(new):
        return ""
    try:
        change = float(new) - float(old)
        return f"{change:+.4f}" if isinstance(new, float) else f"{change:+.4g}"
    except (TypeError, ValueError):
        return "changed"


def _disagreements(
    same: SameImages, second: Revision
) -> Iterator[tuple[str, int, list[tuple[Any, ...]]]]:
    """Yield each model, the number of images of disagreement, and the most confident of them.

    Raises MissingOutputError if the images are not here.
    """
    path = paths.prepared(same.split)
    for model, (labels, (old, new), confidence) in same.models.items():
        images = formats.parse_arrays(files.read(second, path), str(path), ["images"])["images"]
        description = files.describe(second)
        names = dict(enumerate(description.labels))
        differing = np.flatnonzero(old != new)
        shown = differing[np.argsort(-confidence[differing], kind="stable")][:MAX_DISAGREEMENTS]
        tiles = [
            (row, _png(image), *(names.get(side[row], "?") for side in (labels, old, new)))
            for row, image in zip(shown, images[shown].reshape(-1, *description.shape), strict=True)
        ]
        yield model, len(differing), tiles


def _png(image: np.ndarray) -> bytes:
    """Return a picture of an image, float32 in [0, 1]: gray ones go from paper to ink."""
    color = image.ndim == 3 and image.shape[2] == 3
    gray = image if image.ndim == 2 else image.mean(axis=2)
    content = io.BytesIO()
    pixels = np.round(255 * image if color else 255 - 255 * gray).astype(np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _few_colors(figure: bytes) -> bytes:
    """Return a PNG file in 256 colors: less than half as long, and a figure looks the same."""
    content = io.BytesIO()
    try:
        Image.open(io.BytesIO(figure)).convert("RGB").quantize(256).save(content, "PNG")
    except Exception:
        # Pillow refuses damaged and huge pictures in several ways; a browser shows what it can.
        return figure
    return content.getvalue()


def _charts(names: list[str], warnings: list[str], same_baseline: bool) -> list[dict[str, Any]]:
    """Return the charts of `dvc plots diff`, with the revisions in the order of the page.

    Of each: its title, what Vega draws, and whether the curves of both revisions are equal.
    """
    announce("reading the charts")
    command = [sys.executable, "-m", "dvc", "plots", "diff", "--json", "--", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc plots diff: {done.stderr.strip().splitlines()[0]}")
    # DVC puts the workspace first.
    plots = json.loads(done.stdout.replace(json.dumps(names[::-1]), json.dumps(names)))
    for error in plots.get("errors", []):
        warnings.append(f"{error['rev']}: no chart of {error.get('source') or error['msg']}")
    drawn = []
    for source, group in plots.get("data", {}).items():
        for plot in group if same_baseline or source != str(paths.COMPARISON) else []:
            if plot["type"] == "vega" and (spec := plot["content"]):
                title = spec.pop("title", {}).get("text", source)
                values = [{**row, "rev": ""} for row in spec["data"]["values"]]
                half = len(values) // 2
                # Where both agree, one line would cover the other.
                equal = values[:half] == values[half:]
                drawn.append({"title": title, "spec": spec, "equal": equal})
    return drawn


if __name__ == "__main__":
    run_main(main)
