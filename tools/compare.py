"""`make compare REV=main [REV2=workspace]`: is the other revision really better?

Compares the predictions of two revisions for the same test images, and the mean accuracies of
settings that have been run with several seeds. REV and REV2 are read from the environment.
"""

import csv
import itertools
import os
import shlex
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter

from digits import metrics, paths
from digits.errors import UserError
from digits.stage import run_main
from digits.text import columns, printable, shorten, wrapped
from tools import history
from tools.history import SEED, WORKSPACE, Lock, Model, Revision, Settings
from tools.statistics import MIN_SEEDS, difference, p_value, percent, verdict, welch

MAX_NAME = 12
MAX_LINES = 20
MORE_SEEDS = "Other seeds may change these verdicts. To run the missing ones:"


class Prediction(BaseModel):
    """A row of metrics/predictions/NAME.csv."""

    index: int
    label: Annotated[int, Field(ge=0, le=255)]
    prediction: Annotated[int, Field(ge=0, le=255)]
    confidence: Annotated[float, Field(ge=0, le=1)]


PREDICTIONS = TypeAdapter(list[Prediction]).validate_python


class Comparison(NamedTuple):
    """A model's predictions for the same n test images at two revisions, float64 (n,) each."""

    labels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    confidence: np.ndarray  # of the more confident one


class Sample(NamedTuple):
    """The test accuracies of a model's settings at a revision, by their seeds."""

    revision: Revision
    settings: Settings
    accuracies: dict[tuple[str, str], float]

    @property
    def missing(self) -> list[str]:
        """Seeds to train with, so that there are MIN_SEEDS."""
        used = {training for _, training in self.accuracies}
        unused = (seed for seed in map(str, itertools.count(1)) if seed not in used)
        return list(itertools.islice(unused, max(0, MIN_SEEDS - len(self.accuracies))))


def on_same_images(first: Revision, second: Revision) -> dict[str, Comparison]:
    """Compare each model that both have.

    Raises UserError if there is none, if the test images differ or predictions cannot be read.
    """
    old, new = history.lock(first), history.lock(second)
    other_images = _test_images(old).isdisjoint(_test_images(new))
    compared = {}
    for name in (name for name in old.models if name in new.models):
        _, labels, before, confidence = _predictions(first, name)
        _, same_labels, after, other_confidence = _predictions(second, name)
        if other_images or not np.array_equal(labels, same_labels):
            raise UserError(
                f"{first.name} and {second.name} have other test images, or prepare them in "
                "another way; only predictions for the same images can be compared"
            )
        confidence = np.maximum(confidence, other_confidence)
        compared[name] = Comparison(labels, before, after, confidence)
    if not compared:
        raise UserError(f"{first.name} and {second.name} have no model in common")
    return compared


def _predictions(revision: Revision, name: str) -> np.ndarray:
    path = paths.predictions(name)
    return parse_predictions(history.read(revision, path), f"{revision.name}: {path}")


def parse_predictions(content: bytes, source: str) -> np.ndarray:
    """The columns of metrics/predictions/NAME.csv, float64 (4, n). Raises UserError."""
    rows = list(csv.DictReader(content.decode(errors="replace").splitlines()))
    found = history.parse(PREDICTIONS, rows, source)
    if not found or [row.index for row in found] != list(range(len(found))):
        raise UserError(f"{source}: the index does not count the rows from 0")
    return np.array([(row.index, row.label, row.prediction, row.confidence) for row in found]).T


def _test_images(lock: Lock) -> set[str]:
    """MD5 of the raw data and of the prepared test images; either tells which images they are."""
    raw = str(paths.raw(str(lock.parameters.get("prepare.dataset"))))
    return {lock.inputs.get(raw, ""), lock.outputs.get(str(paths.prepared("test")), "")} - {""}


def describe(first: Revision, second: Revision) -> list[str]:
    """The whole comparison, a paragraph an item. Raises UserError as `on_same_images` does."""
    compared = on_same_images(first, second)
    names = label(first), label(second)
    width = max(map(len, names))
    text = [
        shorten(f"{name:{width}}  {origin(revision)}", columns())
        for name, revision in zip(names, (first, second), strict=True)
    ]
    count = len(next(iter(compared.values())).labels)
    made_from = history.lock(first).made_from, history.lock(second).made_from
    changed = [
        key if "/" in key else f"{key} {old} -> {new}"
        for key, (old, new) in history.changes(*made_from).items()
    ]
    line = f"{count:,} test images; changed: {', '.join(changed) or 'nothing'}"
    text.append(shorten(line, columns()))
    verdicts, commands = conclusions(compared, first, second)
    return [*text, *verdicts, *(["", MORE_SEEDS, *commands] if commands else [])]


def conclusions(
    compared: Mapping[str, Comparison], first: Revision, second: Revision
) -> tuple[list[str], list[str]]:
    """The verdicts, with "" before each model, and the commands that run missing seeds.

    Raises UserError if a revision belongs to another pipeline.
    """
    names = label(first), label(second)
    known, _ = history.runs()
    text, samples = [], []
    for model, result in compared.items():
        old, new = (percent((result.labels == side).mean()) for side in result[1:3])
        if np.array_equal(result.first, result.second):
            text += ["", f"{model}: {old} and {new} correct, identical predictions"]
            continue
        pairs = metrics.pairs(result.first == result.labels, result.second == result.labels)
        pair = _sample(first, model, known), _sample(second, model, known)
        samples.append(pair)
        text += [
            "",
            f"{model}: {old} and {new} correct, {difference(pairs)}",
            f"  only one correct: {pairs.only_first_right} in {names[0]}, "
            f"{pairs.only_second_right} in {names[1]}; McNemar's exact test: {p_value(pairs.p)}",
            f"  verdict, these two models: {verdict(pairs, *names, 'models')}",
            *over_seeds(*pair, *names),
        ]
    for revision, other in ((first, second), (second, first)):
        models = history.lock(revision).models
        lacking = [name for name in models if name not in history.lock(other).models]
        if lacking:
            text += ["", f"not compared, only in {label(revision)}: {', '.join(lacking)}"]
    return text, _commands(samples)


def over_seeds(one: Sample, other: Sample, first: str, second: str) -> list[str]:
    """The comparison over seeds, in words; `first` and `second` name the revisions."""
    if one.settings == other.settings:
        return ["  over seeds: only the seeds differ, so this difference is due to chance"]
    lacking = [
        f"{len(sample.missing)} more of {name}"
        for sample, name in ((one, first), (other, second))
        if sample.missing
    ]
    if lacking:
        return [f"  over seeds: each side needs {MIN_SEEDS}; run {' and '.join(lacking)}"]
    accuracies = list(one.accuracies.values()), list(other.accuracies.values())
    result = welch(*accuracies)
    old, new = (
        f"{percent(statistics.mean(sample))} (std {100 * statistics.stdev(sample):.2f}, "
        f"{len(sample)} seeds)"
        for sample in accuracies
    )
    return [
        f"  over seeds: {old} and {new}, {difference(result)}; Welch's t-test: {p_value(result.p)}",
        f"  verdict, over seeds: {verdict(result, first, second, 'settings')}",
    ]


def _sample(revision: Revision, name: str, known: Iterable[Model]) -> Sample:
    """The seeds that a revision's settings have been run with, among the `known` models."""
    metrics = history.read(revision, paths.metrics(name))
    model = history.model(history.lock(revision), name, revision.name, metrics)
    same = {other.seeds: other.test for other in known if other.settings == model.settings}
    return Sample(revision, model.settings, same | {model.seeds: model.test})


def _commands(pairs: Iterable[tuple[Sample, Sample]]) -> list[str]:
    """The shell commands that train with the missing seeds of two revisions, line by line."""
    sides = zip(*(pair for pair in pairs if pair[0].settings != pair[1].settings), strict=True)
    lacking = [[sample for sample in side if sample.missing] for side in sides]
    lines = [line for samples in lacking if samples for line in _command(samples)]
    return [*lines, "  dvc queue start"] if lines else []


def _command(samples: Sequence[Sample]) -> list[str]:
    """The command that puts the missing seeds of one revision's models into DVC's queue."""
    revision = samples[0].revision
    seeds = {f"train_{sample.settings.model}": ",".join(sample.missing) for sample in samples}
    lock = history.lock(revision).only("prepare", *seeds)
    changes = history.changes(lock.made_from, history.in_workspace(lock))
    options = {key: old for key, (old, _) in changes.items() if "/" not in key}
    before = after = ""
    if revision.name != WORKSPACE and (len(options) < len(changes) or "none" in options.values()):
        # Its code or data are only there, and so are its parameters.
        options = {}
        before, after = f"git switch --detach {revision.commit[:7]} && ", " && git switch -"
    options |= {f"{stage}.{SEED}": values for stage, values in seeds.items()}
    settings = " ".join(f"-S {shlex.quote(f'{key}={value}')}" for key, value in options.items())
    command = f"{before}dvc exp run --queue {settings}{after}"
    # Indented and continued.
    lines = textwrap.wrap(command, columns() - 5, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}" for line in " \\\n".join(lines).splitlines()]


def label(revision: Revision) -> str:
    """The revision's name, or its commit if that name is long."""
    return revision.name if len(revision.name) <= MAX_NAME else revision.commit[:7]


def origin(revision: Revision) -> str:
    """The revision's commit and date, and what has changed since its run."""
    text = f"{revision.commit[:7]}, {revision.date:%Y-%m-%d %H:%M}"
    if revision.name == WORKSPACE:
        text = f"based on {revision.commit[:7]}"
    elif label(revision) != revision.name:
        text += f", {revision.name}"
    changed = history.unrun(revision)
    return f"{text}, changed since its run: {changed}" if changed else text


def main() -> None:
    names = os.environ.get("REV", ""), os.environ.get("REV2", WORKSPACE)
    if "" in names:
        raise UserError("REV and REV2 must name revisions: make compare REV=main REV2=workspace")
    lines = wrapped(describe(*map(history.find, names)))
    print(*map(printable, lines if len(lines) <= MAX_LINES else filter(None, lines)), sep="\n")


if __name__ == "__main__":
    run_main(main)
