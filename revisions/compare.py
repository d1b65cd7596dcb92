"""`make compare REV=main [REV2=workspace]`: is one revision really better?

Models are compared on the same test images, settings over all seeds that they have been run with.
"""

import csv
import os
import shlex
import textwrap
from collections.abc import Iterable, Mapping
from statistics import mean, stdev
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter

from digits import metrics
from digits.plumbing import paths
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import columns, sanitize, shorten, wrap
from revisions import files, runs
from revisions.files import WORKSPACE, Lock, Revision
from revisions.runs import SEED, Model
from revisions.verdicts import MIN_SEEDS, difference, p_value, verdict, welch

MAX_VALUE = 40
MORE_SEEDS = "Other seeds may change these verdicts. To run the missing ones:"


class Prediction(BaseModel):
    """A row of metrics/predictions/NAME.csv."""

    label: int = Field(ge=0, le=255)
    prediction: int = Field(ge=0, le=255)
    confidence: float = Field(ge=0, le=1)


PREDICTIONS = TypeAdapter(Annotated[list[Prediction], Field(min_length=1)]).validate_python


class Comparison(NamedTuple):
    """Labels and predictions of a model for n test images at two revisions, float64 (n,) each."""

    labels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    confidence: np.ndarray  # of the more confident one


def on_same_images(first: Revision, second: Revision) -> dict[str, Comparison]:
    """Compare each model that both have. Raises UserError if there is none, or images differ."""
    old, new = files.whole_lock(first), files.whole_lock(second)
    compared = {}
    for name in (name for name in old.models if name in new.models):
        path = paths.predictions(name)
        (labels, before, sure), (others, after, surer) = (
            parse_predictions(files.read(revision, path), f"{revision.name}: {path}")
            for revision in (first, second)
        )
        if not test_images(old) & test_images(new) or not np.array_equal(labels, others):
            raise UserError(
                f"{first.name} and {second.name} use different test images, or prepare them "
                "differently; only predictions for the same images can be compared"
            )
        compared[name] = Comparison(labels, before, after, np.maximum(sure, surer))
    if not compared:
        raise UserError(f"{first.name} and {second.name} have no model in common")
    return compared


def parse_predictions(content: bytes, source: str) -> np.ndarray:
    """Parse a file of predictions: labels, predictions, confidences, float64 (3, n).

    Raises UserError if it is not such a file.
    """
    rows = list(csv.DictReader(content.decode(errors="replace").splitlines()))
    parsed = files.parse(PREDICTIONS, rows, source)
    return np.array([(row.label, row.prediction, row.confidence) for row in parsed]).T


def test_images(lock: Lock) -> set[str]:
    """Return the MD5 of the raw data and of the prepared test images; either identifies them."""
    raw = str(paths.raw(lock.parameters.get("prepare.dataset", "")))
    return {lock.sources.get(raw, ""), lock.outputs.get(str(paths.prepared("test")), "")} - {""}


def conclusions(
    compared: Mapping[str, Comparison], first: Revision, second: Revision
) -> tuple[list[str], list[str]]:
    """Return the verdicts, with "" before each model, and the commands that run missing seeds."""
    both, names = (first, second), (first.name, second.name)
    known, _ = runs.models()
    text, olds, news = [], [], []
    for model, (labels, before, after, _) in compared.items():
        old, new = (f"{(labels == side).mean():.2%}" for side in (before, after))
        if np.array_equal(before, after):
            text += ["", f"{model}: {old} and {new} correct, identical predictions"]
            continue
        pairs = metrics.pairs(before == labels, after == labels)
        text += [
            "",
            f"{model}: {old} and {new} correct, {difference(pairs)}",
            f"  only one correct: {pairs.only_baseline_right} in {names[0]}, "
            f"{pairs.only_model_right} in {names[1]}; McNemar's exact test: {p_value(pairs.p)}",
            f"  verdict, these two models: {verdict(pairs, *names, 'models')}",
        ]
        one, other = (_sample(revision, model, known) for revision in both)
        if one[0].settings == other[0].settings:
            text.append("  over seeds: only the seeds differ, so the difference is noise")
        else:
            text += _over_seeds(one, other, names)
            olds.append(one)
            news.append(other)
    for revision in both:
        if models := sorted(set(files.lock(revision).models) - compared.keys()):
            text += ["", f"not compared, only in {revision.name}: {', '.join(models)}"]
    commands = [*_command(first, olds), *_command(second, news)]
    return text, [*commands, "  dvc queue start"] if commands else []


def _over_seeds(one: list[Model], other: list[Model], names: tuple[str, str]) -> list[str]:
    missing = [len(_missing(sample)) for sample in (one, other)]
    if any(missing):
        lacking = [f"{n} more of {name}" for n, name in zip(missing, names, strict=True) if n]
        return [f"  over seeds: each side needs {MIN_SEEDS}; run {' and '.join(lacking)}"]
    sides = [[model.test for model in sample] for sample in (one, other)]
    result = welch(*sides)
    old, new = (
        f"{mean(side):.2%} (std {100 * stdev(side):.2f}, {len(side)} seeds)" for side in sides
    )
    return [
        f"  over seeds: {old} and {new}, {difference(result)}; Welch's t-test: {p_value(result.p)}",
        f"  verdict, over seeds: {verdict(result, *names, 'settings')}",
    ]


def _sample(revision: Revision, name: str, known: Iterable[Model]) -> list[Model]:
    """Return a revision's model, and the `known` ones that only chance makes different."""
    content = files.read(revision, paths.metrics(name))
    model = runs.model(files.lock(revision), name, revision.name, content)
    same = {other.seeds: other for other in known if other.settings == model.settings}
    return list((same | {model.seeds: model}).values())


def _missing(sample: list[Model]) -> list[str]:
    """Return seeds to train with, so that there are MIN_SEEDS."""
    used = {model.seeds[1] for model in sample}
    unused = [seed for seed in map(str, range(1, 2 * MIN_SEEDS)) if seed not in used]
    return unused[: max(0, MIN_SEEDS - len(sample))]


def _command(revision: Revision, samples: Iterable[list[Model]]) -> list[str]:
    """Return the lines of the command that puts a revision's missing seeds into DVC's queue."""
    missing = {f"train_{sample[0].settings.model}": _missing(sample) for sample in samples}
    seeds = {stage: ",".join(values) for stage, values in missing.items() if values}
    if not seeds:
        return []
    lock = files.lock(revision).only("prepare", *seeds)
    changes = files.diff(lock.parameters | lock.sources, files.current_inputs(lock))
    options = {key: old for key, (old, _) in changes.items() if "/" not in key and old != "none"}
    # Code or data that differ are only there, and so are the parameters.
    elsewhere = revision.name != WORKSPACE and len(options) < len(changes)
    options = {} if elsewhere else options
    options |= {f"{stage}.{SEED}": values for stage, values in seeds.items()}
    settings = " ".join(f"-S {shlex.quote(f'{key}={value}')}" for key, value in options.items())
    command = f"dvc exp run --queue {settings}"
    if elsewhere:
        command = f"git switch --detach {revision.commit[:7]} && {command} && git switch -"
    # The lines are indented and continued.
    lines = textwrap.wrap(command, columns() - 5, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}" for line in " \\\n".join(lines).splitlines()]


def origin(revision: Revision) -> str:
    """Describe a revision: its commit and date, and the changes since its run."""
    text = f"based on {revision.commit[:7]}"
    if revision.name != WORKSPACE:
        show = ("show", "--no-patch", "--format=%cd", "--date=format:%Y-%m-%d %H:%M")
        text = f"{revision.commit[:7]}, {files.git(*show, revision.commit).strip()}"
    changed = files.stale_inputs(revision)
    return f"{text}, changed since its run: {changed}" if changed else text


def main() -> None:
    names = os.environ.get("REV", ""), os.environ.get("REV2", WORKSPACE)
    if "" in names:
        raise UserError("REV and REV2 must name revisions: make compare REV=main REV2=workspace")
    first, second = revisions = [files.find(name) for name in names]
    compared = on_same_images(first, second)
    made_from = [lock.parameters | lock.sources for lock in map(files.lock, revisions)]
    changed = [
        key if "/" in key else f"{key} {shorten(old, MAX_VALUE)} -> {shorten(new, MAX_VALUE)}"
        for key, (old, new) in files.diff(*made_from).items()
    ]
    count = len(next(iter(compared.values())).labels)
    width = max(map(len, names))
    lines = [f"{revision.name:{width}}  {origin(revision)}" for revision in revisions]
    lines.append(f"{count:,} test images; changed: {', '.join(changed) or 'nothing'}")
    verdicts, commands = conclusions(compared, first, second)
    seeds = ["", MORE_SEEDS, *commands] if commands else []
    print(*map(sanitize, wrap([*lines, *verdicts, *seeds])), sep="\n")


if __name__ == "__main__":
    run_main(main)
