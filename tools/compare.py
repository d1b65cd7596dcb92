"""`make compare REV=main [REV2=workspace]`: is the other revision really better?

Compares the predictions of two revisions for the same test images, and the mean accuracies of
settings that have been run with several seeds. REV and REV2 are read from the environment.
"""

import io
import os
import statistics
import textwrap
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from digits import comparison, paths
from digits.comparison import FEWEST_SEEDS, SMALLEST_SHOWN_P, PairedComparison, SeedComparison
from digits.errors import UserError
from digits.run import run_main
from tools import revisions, runs, seeds
from tools.revisions import WORKSPACE, Revision
from tools.seeds import Sample

COLUMNS = 100
LONGEST_NAME = 12
LINES = 20


class Predictions(NamedTuple):
    """What metrics/predictions/NAME.csv holds: (n,) each, in the order of the test images."""

    labels: np.ndarray  # int64
    digits: np.ndarray  # int64
    confidence: np.ndarray  # float64


class Comparison(NamedTuple):
    """One of paths.MODELS at two revisions, on the same test images."""

    first: Predictions
    second: Predictions
    pair: PairedComparison

    @property
    def accuracies(self) -> tuple[float, float]:
        """Of the first and of the second."""
        both, only_first, only_second, _ = self.pair
        return (both + only_first) / sum(self.pair), (both + only_second) / sum(self.pair)

    @property
    def identical(self) -> bool:
        """Whether both predict the same digit for every image."""
        return np.array_equal(self.first.digits, self.second.digits)


def compare(first: Revision, second: Revision) -> dict[str, Comparison]:
    """Compare each of paths.MODELS.

    Raises UserError if the test images differ or predictions cannot be read.
    """
    other_images = _test_images(first).isdisjoint(_test_images(second))
    compared = {}
    for model in paths.MODELS:
        old, new = predictions(first, model), predictions(second, model)
        if other_images or not np.array_equal(old.labels, new.labels):
            raise UserError(
                f"{first.name} and {second.name} have other test images, or prepare them in "
                "another way; only predictions for the same images can be compared"
            )
        pair = comparison.paired(old.digits == old.labels, new.digits == new.labels)
        compared[model] = Comparison(old, new, pair)
    return compared


def predictions(revision: Revision, model: str) -> Predictions:
    """The predictions of one of paths.MODELS. Raises UserError if they cannot be read."""
    path = paths.predictions(model)
    content = revisions.read(revision, path)
    try:
        table = np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1, ndmin=2)
        _, labels, digits, confidence = table.T
    except ValueError:
        raise UserError(f"{revision.name}: {path} is not a table of predictions") from None
    return Predictions(labels.astype(int), digits.astype(int), confidence)


def _test_images(revision: Revision) -> set[str]:
    """MD5 of the raw data and of the prepared test images; either tells which images they are."""
    stages = revisions.stages(revision)
    dataset = revisions.parameters(stages).get("prepare.dataset")
    wanted = (str(paths.raw(str(dataset))), str(paths.prepared("test")))
    prepare = stages.get("prepare", {})
    files = (*prepare.get("deps", []), *prepare.get("outs", []))
    return {file.get("md5", "") for file in files if file["path"] in wanted}


def describe(first: Revision, second: Revision) -> list[str]:
    """What `make compare` prints, a paragraph an item. Raises UserError as `compare` does."""
    compared = compare(first, second)
    names = label(first), label(second)
    width = max(map(len, names))
    text = [
        _one_line(f"{name:{width}}  {_origin(revision)}")
        for name, revision in zip(names, (first, second), strict=True)
    ]
    images = len(compared["linear"].first.labels)
    differences = ", ".join(_differences(first, second)) or "nothing"
    text.append(_one_line(f"{images:,} test images; what differs: {differences}"))
    return [*text, *conclusions(compared, first, second)]


def conclusions(compared: Mapping[str, Comparison], first: Revision, second: Revision) -> list[str]:
    """What to conclude on each model, and how to run seeds that are missing; "" between models.

    Raises UserError if a revision belongs to another pipeline.
    """
    names = label(first), label(second)
    known = runs.models()
    text, samples = [], []
    for model, result in compared.items():
        text += ["", *on_images(model, result, *names)]
        if not result.identical:
            pair = seeds.sample(first, model, known), seeds.sample(second, model, known)
            samples.append(pair)
            text += over_seeds(*pair, *names)
    commands = seeds.commands(samples)
    if commands:
        text += ["", "Another seed may change these verdicts. To run the missing ones:", *commands]
    return text


def on_images(model: str, result: Comparison, first: str, second: str) -> list[str]:
    """The comparison on the test images, in words; `first` and `second` name the revisions."""
    old, new = map(_percent, result.accuracies)
    if result.identical:
        return [f"{model}: {old} and {new} correct, identical predictions"]
    pair = result.pair
    return [
        f"{model}: {old} and {new} correct, {_difference(pair)}",
        f"  right in one only: {pair.only_first_right} in {first}, {pair.only_second_right} in "
        f"{second}; McNemar's exact test: {_p(pair.p)}",
        f"  verdict on the models: {pair.verdict(first, second)}",
    ]


def over_seeds(one: Sample, other: Sample, first: str, second: str) -> list[str]:
    """The comparison over seeds, in words; `first` and `second` name the revisions."""
    if one.settings == other.settings:
        return ["  over seeds: nothing but the seed differs, so what differs is due to it"]
    lacking = [
        f"{len(sample.missing)} more of {name}"
        for sample, name in ((one, first), (other, second))
        if sample.missing
    ]
    if lacking:
        need = f"it takes {FEWEST_SEEDS} on either side"
        return [f"  over seeds: {need}; run {' and '.join(lacking)}"]
    accuracies = list(one.accuracies.values()), list(other.accuracies.values())
    result = comparison.welch(*accuracies)
    old, new = (
        f"{_percent(statistics.mean(sample))} (std {100 * statistics.stdev(sample):.2f}, "
        f"{len(sample)} seeds)"
        for sample in accuracies
    )
    return [
        f"  over seeds: {old} and {new}, {_difference(result)}; Welch's t-test: {_p(result.p)}",
        f"  verdict on the settings: {result.verdict(first, second)}",
    ]


def label(revision: Revision) -> str:
    """What the sentences call a revision: its name, or its commit if that is long."""
    return revision.name if len(revision.name) <= LONGEST_NAME else revision.commit[:7]


def _origin(revision: Revision) -> str:
    if revision.name != WORKSPACE:
        text = f"{revision.commit[:7]}, {revision.date:%Y-%m-%d %H:%M}"
        return text if label(revision) == revision.name else f"{text}, {revision.name}"
    parameters, modules = revisions.unlike_workspace(revisions.stages(revision))
    changed = ", ".join([*parameters, *modules])
    note = f", changed since its run: {changed}" if changed else ""
    return f"based on {revision.commit[:7]}{note}"


def _differences(first: Revision, second: Revision) -> list[str]:
    """What the two were made from and have not in common: parameters and modules."""
    stages = revisions.stages(first), revisions.stages(second)
    old, new = map(revisions.parameters, stages)
    found = [
        f"{key} {old.get(key, 'none')} -> {new.get(key, 'none')}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]
    old, new = map(revisions.modules, stages)
    return found + [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]


def _one_line(text: str) -> str:
    return text if len(text) <= COLUMNS else f"{text[: COLUMNS - 4]} ..."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _difference(result: PairedComparison | SeedComparison) -> str:
    low, high = map(_points, result.ci95)
    return f"{_points(result.gain)} percentage points (95 % interval {low} to {high})"


def _points(share: float) -> str:
    # Without the sign of what rounds to 0.
    return f"{100 * share:+.2f}" if abs(share) >= 0.00005 else "0.00"


def _p(p: float) -> str:
    if p < SMALLEST_SHOWN_P:
        return f"p < {SMALLEST_SHOWN_P:f}"
    return f"p = {np.format_float_positional(p, precision=2, fractional=False, trim='-')}"


def wrapped(text: Iterable[str]) -> list[str]:
    """Lines of at most COLUMNS; what continues a paragraph is indented further than it."""
    lines = []
    for paragraph in text:
        indent = " " * (len(paragraph) - len(paragraph.lstrip()) + 2)
        found = textwrap.wrap(paragraph, COLUMNS, subsequent_indent=indent, break_on_hyphens=False)
        lines += found or [""]
    return lines


def main() -> None:
    names = os.environ.get("REV", ""), os.environ.get("REV2", WORKSPACE)
    if "" in names:
        raise UserError("REV and REV2 must name revisions: make compare REV=main REV2=workspace")
    lines = wrapped(describe(*map(revisions.find, names)))
    print("\n".join(lines if len(lines) <= LINES else filter(None, lines)))


if __name__ == "__main__":
    run_main(main)
