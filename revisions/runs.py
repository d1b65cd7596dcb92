"""List the models of all runs in Git: branches, tags, commits and experiments."""

import functools
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import FiniteFloat, TypeAdapter
from tqdm import tqdm

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from digits.portable import formats
from revisions import files
from revisions.files import LOCK, File, Lock, Revision, Stage

SEED = "seed"
# In how many commits `unrun_parameters` looks for the same outputs.
RECENT = 20
# metrics/NAME.json is like {"test": {"accuracy": 0.9784}}.
METRICS = TypeAdapter(dict[str, dict[str, FiniteFloat]]).validate_json


class ModelSettings(NamedTuple):
    """All that makes a model, except the seeds: models of equal settings differ by chance alone."""

    model: str
    data: tuple[tuple[str, str], ...]  # the parameters of prepare, and an MD5 of the raw data
    hyperparameters: tuple[tuple[str, str], ...]
    code: str  # a hash of the modules that prepared the data and trained the model


class Model(NamedTuple):
    """A trained model, and the accuracies that were measured."""

    settings: ModelSettings
    seeds: tuple[str, str]  # of prepare, of the training
    revision: Revision
    accuracies: dict[str, float]  # by split; without validation if no images were held out
    validation_images: str  # their MD5
    history: str = ""  # its MD5


def readable(metric: str) -> str:
    """Return the name of a metric in words."""
    return metric.replace("_", " ").replace("f1", "F1")


def models() -> tuple[list[Model], dict[str, list[str]]]:
    """List the models of all whole runs, the newest first, and the references left out, by reason.

    A model that several revisions have is that of the first one in `files.references`.
    """
    named = files.references()
    show = ("log", "--all", "--full-history", "--format=%h %H", "--abbrev=7", "--", str(LOCK))
    commits = [line.split() for line in files.git(*show).splitlines()]
    names: dict[str, str] = {}
    for name, commit in [*named, *commits]:
        names.setdefault(commit, name)
    locks, reasons = {}, {}
    # `dvc commit --force` can record other parameters for the same files: the oldest ones count.
    made_with: dict[tuple[str, ...], Any] = {}
    age: dict[str, int] = {}
    ranks = {commit: rank for rank, commit in enumerate(names)}
    candidates = []
    # Results that stay the same are those of the first run that has them.
    measured: dict[bytes, Lock] = {}
    latest = Lock(stages={})
    oldest_first = dict.fromkeys([*(commit for _, commit in reversed(commits)), *names])
    contents = files.blobs((commit, LOCK) for commit in oldest_first)
    # A terminal gets a progress bar if this takes longer than a second.
    reading = tqdm(oldest_first, "reading runs", unit="", leave=False, delay=1, disable=None)
    for commit, content in zip(reading, contents, strict=True):
        try:
            lock = files.parse_lock(content or b"stages: {}", names[commit])
        except UserError as error:
            reasons[names[commit]] = str(error)
            continue
        for outputs, stage in _outputs(lock).items():
            stage.params = made_with.setdefault(outputs, stage.params)
        if _results(lock) != _results(latest):
            latest = lock
        locks[commit] = lock, measured.setdefault(content, latest)
        for name, path in lock.models.items():
            number = age.setdefault(lock.outputs[path], len(age))
            candidates.append((number, ranks[commit], commit, name))
    candidates.sort()
    metrics = files.blobs((commit, paths.metrics(name)) for _, _, commit, name in candidates)
    # Each combination of settings and seeds is there once, and so is each file.
    listed: dict[tuple[ModelSettings, tuple[str, str]], Model] = {}
    seen = set()
    for (number, _, commit, name), content in zip(candidates, metrics, strict=True):
        (lock, first), run = locks[commit], names[commit]
        try:
            this = model(lock, name, Revision(run, commit), content)
            if number not in seen:
                trained, then = (one.upstream(f"train_{name}").choices for one in (lock, first))
                if trained != then:
                    reason = "the results of evaluate are those of different parameters or data"
                    raise UserError(f"{run}: {reason}; dvc repro --force evaluate")
                listed.setdefault((this.settings, this.seeds), this)
                seen.add(number)
        except UserError as error:
            reasons[run] = str(error)
    left_out: dict[str, list[str]] = {}
    for run in dict.fromkeys(run for run, _ in named if run in reasons):
        left_out.setdefault(reasons[run].removeprefix(f"{run}: "), []).append(run)
    return list(listed.values())[::-1], left_out


def unrun_parameters(revision: Revision) -> str:
    """Name a parameter that RECENT commits have otherwise for the same outputs; "" if none."""
    show = ("log", f"-{RECENT}", "--full-history", "--format=%H", revision.commit, "--", str(LOCK))
    lock = files.lock(revision)
    for content in files.blobs((commit, LOCK) for commit in files.git(*show).split()):
        with suppress(UserError):
            old = files.parse_lock(content, "HEAD")
            for outputs in [outputs for outputs in _outputs(lock) if outputs in _outputs(old)]:
                made_with = (run.upstream(outputs[0]).parameters for run in (old, lock))
                for key, (before, now) in files.diff(*made_with).items():
                    if "none" not in (before, now):
                        made = f"{key} {now} for files that an earlier commit has with {before}"
                        return f"{LOCK} has {made}; if it was not run: dvc repro --force"
    return ""


def _results(lock: Lock) -> list[File]:
    return lock.stages["evaluate"].outs if "evaluate" in lock.stages else []


def _outputs(lock: Lock) -> dict[tuple[str, ...], Stage]:
    """Return the stages of a whole run by their name and the MD5s of their outputs."""
    named = {} if lock.gap else lock.counting
    stages = {(name, *(out.md5 for out in stage.outs)): stage for name, stage in named.items()}
    return {outputs: stage for outputs, stage in stages.items() if outputs[1:] and all(outputs)}


def model(lock: Lock, name: str, revision: Revision, metrics: bytes) -> Model:
    """Describe one of the models of a run, from its dvc.lock and its metrics/NAME.json.

    Raises UserError if the run is not whole, or if the metrics are not those in dvc.lock.
    """
    run, path = revision.name, paths.metrics(name)
    edited = files.md5_of(metrics) != lock.outputs.get(str(path))
    if problem := lock.gap or (f"{path} does not match {LOCK}" if edited else ""):
        raise UserError(f"{run}: {problem}; {files.remedy(revision)}")
    scores = formats.parse(METRICS, metrics, f"{run}: {path}")
    made_by = lock.upstream(f"train_{name}")
    texts, sources = made_by.parameters, made_by.sources
    try:
        texts["prepare.md5"] = sources[str(paths.raw(texts["prepare.dataset"]))][:8]
        prepare, train = "prepare.", f"train_{name}."
        of_data = [key for key in sorted(texts) if key.startswith(prepare)]
        data = {key.removeprefix(prepare): texts.pop(key) for key in of_data}
        hyperparameters = {key.removeprefix(train): texts[key] for key in sorted(texts)}
        # A model need not have a seed.
        seeds = data.pop(SEED), hyperparameters.pop(SEED, "")
        accuracies = {"test": scores["test"]["accuracy"]}
        accuracies |= {key: score["accuracy"] for key, score in scores.items() if score}
        if not all(0 <= accuracy <= 1 for accuracy in accuracies.values()):
            raise UserError(f"{run}: {path}: an accuracy is not between 0 and 1")
    except KeyError as error:
        raise UserError(f"{run}: comes from a different pipeline: {error} is missing") from None
    code = [item for item in sorted(sources.items()) if paths.RAW not in Path(item[0]).parents]
    digest = hashlib.sha256(repr(code).encode()).hexdigest()
    settings = ModelSettings(name, tuple(data.items()), tuple(hyperparameters.items()), digest)
    validation_images = lock.outputs.get(str(paths.prepared("validation")), "")
    history = lock.outputs.get(str(paths.history(name)), "")
    return Model(settings, seeds, revision, accuracies, validation_images, history)


def experiments(base: str, name: str) -> list[tuple[dict[str, str], float]]:
    """List the parameters and the validation accuracies of a model in the experiments on a commit.

    In the order of their names; without those that are not whole, or changed code or data.
    """
    folder = f"refs/exps/{base[:2]}/{base[2:]}/"
    commits = files.git("for-each-ref", "--format=%(objectname)", folder).split()
    listed = (_experiment(base, commit, name) for commit in commits)
    return [({**parameters}, validation) for parameters, validation in filter(None, listed)]


@functools.cache
def _experiment(base: str, commit: str, name: str) -> tuple[dict[str, str], float] | None:
    content, metrics = files.blobs([(commit, LOCK), (commit, paths.metrics(name))])
    with suppress(UserError):
        lock = files.parse_lock(content, commit)
        accuracies = model(lock, name, Revision(commit, commit), metrics).accuracies
        changed = files.git("diff-tree", "-r", "--name-only", "--relative", base, commit)
        by_running = {str(LOCK), str(paths.PARAMS), *lock.outputs}
        whole = not lock.gap and "validation" in accuracies
        if whole and by_running.issuperset(changed.splitlines()):
            return lock.parameters, accuracies["validation"]
    return None
