"""`make compare REV=main [REV2=workspace] [SPLIT=test]`: is one revision really better?

Settings are compared over all seeds that they have been run with, on the validation images: these
decide, the test images report.
"""

import io
import json
import os
import shlex
import textwrap
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dvc.repo import Repo

from digits import metrics
from digits.plumbing import params, paths
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import columns, sanitize, shorten, wrap
from revisions import files, runs, verdicts
from revisions.files import WORKSPACE, Lock, Revision
from revisions.runs import SEED, Model
from revisions.verdicts import MIN_SEEDS, RECOMMENDED_SEEDS, Difference

MAX_VALUE = 40
MAX_MORE_SEEDS = 20
MORE_SEEDS = (
    "Choose the number of seeds first: adding seeds until there is a verdict errs three times as "
    "often. To run them:"
)


class Settings(params.Group):
    """The smallest difference in accuracy that matters."""

    margin: float = params.number(0.0001, 0.5)


class Comparison(NamedTuple):
    """Labels and predictions of a model for n images at two revisions, float64 (n,) each."""

    labels: np.ndarray
    predicted: tuple[np.ndarray, np.ndarray]
    confidence: np.ndarray  # of the more confident one


class SameImages(NamedTuple):
    """The images that two revisions share, and their models' predictions for them."""

    split: str
    remark: str  # why this is not the split that was asked for, or ""
    models: dict[str, Comparison]

    @property
    def num_images(self) -> int:
        return len(next(iter(self.models.values())).labels)


def on_same_images(first: Revision, second: Revision) -> SameImages:
    """Compare each model that both have on the images of SPLIT, by default the validation images.

    If these differ, use the test images. Raises UserError if these differ, too, if no model is in
    both, or if there is no such split.
    """
    split = os.environ.get("SPLIT") or "validation"
    if split not in ("validation", "test"):
        raise UserError(f"SPLIT is {split!r}; must be validation or test")
    old, new = files.whole_lock(first), files.whole_lock(second)
    both = [name for name in old.models if name in new.models]
    if not both:
        raise UserError(f"{first.name} and {second.name} have no model in common")
    remark = ""
    if split == "validation" and not images(old, split) & images(new, split):
        remark = "They do not share validation images with predictions, so the test images decide."
        split = "test"
    compared = {}
    for name in both:
        path = paths.predictions(name, split)
        (labels, before, sure), (others, after, surer) = (
            parse_predictions(files.read(revision, path), f"{revision.name}: {path}")
            for revision in (first, second)
        )
        if not images(old, split) & images(new, split) or not np.array_equal(labels, others):
            raise UserError(
                f"{first.name} and {second.name} use different test images, or prepare them "
                "differently; only predictions for the same images can be compared"
            )
        compared[name] = Comparison(labels, (before, after), np.maximum(sure, surer))
    return SameImages(split, remark, compared)


def parse_predictions(content: bytes, source: str) -> np.ndarray:
    """Parse a file of predictions: labels, predictions, confidences, float64 (3, n).

    Raises UserError, which names `source`, if it is not such a file.
    """
    try:
        rows = np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1, ndmin=2)
        index, labels, predicted, confidence = rows.T
    except ValueError:
        raise UserError(f"{source} is not a table of four columns of numbers") from None
    whole = np.array([labels, predicted])
    if (
        not np.array_equal(index, np.arange(len(index)))
        or not np.isin(whole, np.arange(2**16)).all()
        or not ((confidence >= 0) & (confidence <= 1)).all()
    ):
        raise UserError(f"{source}: an index, label, prediction or confidence is out of range")
    return rows.T[1:]


def images(lock: Lock, split: str) -> set[str]:
    """Return MD5 sums that identify the images of a split for which there are predictions."""
    prepared = lock.outputs.get(str(paths.prepared(split)), "")
    if split == "test":
        raw = str(paths.raw(lock.parameters.get("prepare.dataset", "")))
        return {lock.sources.get(raw, ""), prepared} - {""}
    # Earlier versions predicted the test images only, and wrote a file for each model.
    known = str(paths.PREDICTIONS) in lock.outputs
    validated = lock.parameters.get("prepare.validation_size") != "0"
    return {prepared} - {""} if known and validated else set()


def conclusions(same: SameImages, first: Revision, second: Revision) -> tuple[list[str], list[str]]:
    """Return the verdicts, with "" before each model, and the commands that run missing seeds."""
    both, names = (first, second), (first.name, second.name)
    margin = params.check("compare", Settings, params.read()).margin
    known, _ = runs.models()
    text: list[str] = []
    commands: list[str] = []
    for name, compared in same.models.items():
        if np.array_equal(*compared.predicted):
            accuracy = (compared.labels == compared.predicted[0]).mean()
            text += ["", f"{name}: identical predictions, {accuracy:.2%} correct"]
            continue
        samples = [_sample(revision, name, known, same.split) for revision in both]
        if samples[0][0].settings == samples[1][0].settings:
            text += ["", f"{name}: only the seeds differ, so the difference is noise"]
        else:
            sides = _sides(samples, compared, same.split)
            result = verdicts.compare(*sides)
            text += ["", f"{name}: {verdicts.verdict(result, *names, margin)}"]
            enough = min(result.seeds) >= MIN_SEEDS
            text += [_means(result, sides, names)] if enough else []
            for sample in samples:
                needed = RECOMMENDED_SEEDS - len(sample)
                if enough:
                    undecided = verdicts.outcome(result, margin) == "undecided"
                    needed = verdicts.more_seeds(result, margin) if undecided else 0
                if 0 < needed <= MAX_MORE_SEEDS:
                    commands += _command(sample, needed)
        text.append(_two_models(compared, names))
    for revision in both:
        if models := sorted(set(files.lock(revision).models) - same.models.keys()):
            text += ["", f"not compared, only in {revision.name}: {', '.join(models)}"]
    return text, [*commands, "  dvc queue start"] if commands else []


def _sample(revision: Revision, name: str, known: Iterable[Model], split: str) -> list[Model]:
    """Return a revision's model, and the `known` ones that only chance makes different."""
    content = files.read(revision, paths.metrics(name))
    model = runs.model(files.lock(revision), name, revision, content)
    others = (
        other
        for other in known
        if other.settings == model.settings
        and other.seeds != model.seeds
        # Different validation images would be a part of the difference.
        and (split == "test" or other.validation_images == model.validation_images)
    )
    return [model, *others]


def _sides(samples: list[list[Model]], compared: Comparison, split: str) -> list[np.ndarray]:
    """Return, for both sides, which images each run has right, bool (k, n).

    If the predictions of a run are not in DVC's cache, return the accuracies, float64 (k,).
    """
    try:
        return [
            np.array([side == compared.labels, *(_correct(model, split) for model in sample[1:])])
            for sample, side in zip(samples, compared.predicted, strict=True)
        ]
    except (LookupError, OSError, TypeError, UserError, ValueError):
        return [np.array([model.accuracies[split] for model in sample]) for sample in samples]


def _correct(model: Model, split: str) -> np.ndarray:
    """Return which images a run has right, by its predictions in DVC's cache, bool (n,)."""
    path = paths.predictions(model.settings.model, split)
    listed = json.loads(_cached(files.lock(model.revision).outputs[str(paths.PREDICTIONS)]))
    sums = {item["relpath"]: item["md5"] for item in listed}
    labels, predicted, _ = parse_predictions(_cached(sums[path.name]), str(path))
    return np.asarray(labels == predicted)


def _cached(md5: str) -> bytes:
    content = Path(_cache().oid_to_path(md5)).read_bytes()
    if files.md5_of(content) != md5.removesuffix(".dir"):
        raise ValueError
    return content


@cache
def _cache() -> Any:
    with Repo() as repo:
        return repo.cache.local


def _means(result: Difference, sides: Iterable[np.ndarray], names: tuple[str, str]) -> str:
    accuracies = [side if side.ndim == 1 else side.mean(axis=1) for side in sides]
    shown = [
        f"{name} {side.mean():.2%} (std {100 * side.std(ddof=1):.2f}, {len(side)} seeds)"
        for name, side in zip(names, accuracies, strict=True)
    ]
    return f"  {', '.join(shown)}; {verdicts.difference(result.gain, result.ci95)}"


def _two_models(compared: Comparison, names: tuple[str, str]) -> str:
    """Compare the two models at hand, which says nothing about their settings."""
    right = [side == compared.labels for side in compared.predicted]
    counts = metrics.count_pairs(*right)
    sides = [f"{name} {side.mean():.2%}" for name, side in zip(names, right, strict=True)]
    return (
        f"  these two models, which say nothing about other seeds: {', '.join(sides)}; only one is "
        f"correct: {counts.only_baseline_right} in {names[0]}, {counts.only_model_right} in "
        f"{names[1]}; {verdicts.difference(counts.gain, counts.interval())}; "
        f"{verdicts.pair_verdict(counts.gain, counts.interval(), counts.p, *names)}"
    )


def _command(sample: list[Model], count: int) -> list[str]:
    """Return the lines of the command that puts `count` more seeds into DVC's queue."""
    stage, revision = f"train_{sample[0].settings.model}", sample[0].revision
    used = {model.seeds[1] for model in sample}
    unused = [seed for seed in map(str, range(1, len(used) + count + 1)) if seed not in used]
    lock = files.lock(revision).upstream(stage)
    changes = files.diff(lock.parameters | lock.sources, files.current_inputs(lock))
    options = {key: old for key, (old, _) in changes.items() if "/" not in key and old != "none"}
    # If code or data differ, the command runs at the commit, which has the parameters, too.
    elsewhere = revision.name != WORKSPACE and len(options) < len(changes)
    options = {} if elsewhere else options
    options[f"{stage}.{SEED}"] = ",".join(unused[:count])
    settings = " ".join(f"-S {shlex.quote(f'{key}={value}')}" for key, value in options.items())
    command = f"dvc exp run --queue {settings}"
    if elsewhere:
        command = f"git switch --detach {revision.commit[:7]} && {command} && git switch -"
        # Git would take edits along.
        if files.git("status", "--porcelain", "--untracked-files=no"):
            command = f"git stash && {command} && git stash pop"
    # Each line is indented, and ends with a backslash.
    lines = textwrap.wrap(command, columns() - 5, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}" for line in " \\\n".join(lines).splitlines()]


def origin(revision: Revision) -> str:
    """Describe a revision: its commit and date, and what makes its run doubtful."""
    text = f"based on {revision.commit[:7]}"
    if revision.name != WORKSPACE:
        show = ("show", "--no-patch", "--format=%cd", "--date=format:%Y-%m-%d %H:%M")
        text = f"{revision.commit[:7]}, {files.git(*show, revision.commit).strip()}"
    if changed := files.stale_inputs(revision):
        text = f"{text}, changed since its run: {changed}"
    unrun = runs.unrun_parameters(revision)
    return f"{text}; {unrun}" if unrun else text


def main() -> None:
    names = os.environ.get("REV", ""), os.environ.get("REV2", WORKSPACE)
    if "" in names:
        raise UserError("REV and REV2 must name revisions: make compare REV=main REV2=workspace")
    first, second = revisions = [files.find(name) for name in names]
    same = on_same_images(first, second)
    made_from = [lock.parameters | lock.sources for lock in map(files.lock, revisions)]
    changed = ", ".join(
        key if "/" in key else f"{key} {shorten(old, MAX_VALUE)} -> {shorten(new, MAX_VALUE)}"
        for key, (old, new) in files.diff(*made_from).items()
    )
    width = max(map(len, names))
    lines = [f"{revision.name:{width}}  {origin(revision)}" for revision in revisions]
    lines.append(f"{same.num_images:,} {same.split} images; changed: {changed or 'nothing'}")
    lines += [same.remark] if same.remark else []
    text, commands = conclusions(same, first, second)
    seeds = ["", MORE_SEEDS, *commands] if commands else []
    print(*map(sanitize, wrap([*lines, *text, *seeds])), sep="\n")


if __name__ == "__main__":
    run_main(main)
