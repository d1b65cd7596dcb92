"""List the models of all runs in Git: branches, tags, commits and experiments."""

import functools
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import FiniteFloat, TypeAdapter
from tqdm import tqdm

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from revisions import files
from revisions.files import LOCK, Lock, Revision, Stage

SEED = "seed"
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
    log = files.git(
        "log", "--all", "--full-history", "--format=%h %H", "--abbrev=7", "--", str(LOCK)
    )
    commits = [line.split() for line in log.splitlines()]
    names: dict[str, str] = {}
    for name, commit in [*named, *commits]:
        names.setdefault(commit, name)
    locks, reasons = {}, {}
    contents = files.blobs((commit, LOCK) for commit in names)
    # A terminal gets a progress bar if this takes longer than a second.
    reading = tqdm(names.items(), "reading runs", unit="", leave=False, delay=1, disable=None)
    for (commit, run), content in zip(reading, contents, strict=True):
        try:
            locks[commit] = files.parse_lock(content or b"stages: {}", run)
        except UserError as error:
            reasons[run] = str(error)
    trainings = {
        (commit, name): _training(lock, name)
        for commit, lock in locks.items()
        for name in lock.models
    }
    # `dvc commit --force` can record other parameters for the same model: the oldest ones count.
    oldest_first = dict.fromkeys([*(commit for _, commit in reversed(commits)), *names])
    rank = {commit: number for number, commit in enumerate(oldest_first)}
    trained_with: dict[str, dict[str, str]] = {}
    for key in sorted(trainings, key=lambda key: rank[key[0]]):
        trained_with.setdefault(*trainings[key])
    age = {md5: number for number, md5 in enumerate(trained_with)}
    candidates = [key for key, (md5, used) in trainings.items() if trained_with[md5] == used]
    candidates.sort(key=lambda key: age[trainings[key][0]])
    metrics = files.blobs((commit, paths.metrics(name)) for commit, name in candidates)
    # Each combination of settings and seeds is there once, and so is each file.
    listed: dict[tuple[ModelSettings, tuple[str, str]], Model] = {}
    seen = set()
    for (commit, name), content in zip(candidates, metrics, strict=True):
        lock, run = locks[commit], names[commit]
        revision, (md5, _) = Revision(run, commit), trainings[commit, name]
        try:
            if lock.gap:
                raise UserError(f"{run}: {lock.gap}; {files.remedy(revision)}")
            if md5 not in seen:
                this = model(lock, name, revision, content)
                listed.setdefault((this.settings, this.seeds), this)
                seen.add(md5)
        except UserError as error:
            reasons[run] = str(error)
    left_out: dict[str, list[str]] = {}
    for run in dict.fromkeys(run for run, _ in named if run in reasons):
        left_out.setdefault(reasons[run].removeprefix(f"{run}: "), []).append(run)
    return list(listed.values())[::-1], left_out


def _training(lock: Lock, name: str) -> tuple[str, dict[str, str]]:
    """Return the MD5 of a model, and the parameters of its own stage and of its data."""
    groups = ("prepare.", f"train_{name}.")
    parameters = lock.only("prepare", f"train_{name}").parameters.items()
    own = {key: value for key, value in parameters if key.startswith(groups)}
    return lock.outputs[lock.models[name]], own


def unrun_parameters(lock: Lock) -> str:
    """Describe a parameter that the last commits do not have for the same outputs, or ""."""
    recent = files.git("log", "-2", "--format=%H", "--", str(LOCK)).split()
    for content in files.blobs((commit, LOCK) for commit in recent):
        with suppress(UserError):
            old = files.parse_lock(content, "HEAD")
            made = dict(map(_own, old.stages.items()))
            for outputs, parameters in map(_own, lock.stages.items()):
                for key, pair in files.diff(made.get(outputs, parameters), parameters).items():
                    return f"{LOCK} has {key} {pair[1]} for files that were made with {pair[0]}"
    return ""


def _own(item: tuple[str, Stage]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the name and the MD5s of a stage's outputs, and the parameters of its own group."""
    name, stage = item
    group = (item for item in stage.parameters.items() if item[0].startswith(f"{name}."))
    own = {key: files.format_value(value) for key, value in group}
    return (name, *(out.md5 for out in stage.outs)), own


def model(lock: Lock, name: str, revision: Revision, metrics: bytes) -> Model:
    """Describe one of the models of a run, from its dvc.lock and its metrics/NAME.json.

    Raises UserError if it lacks something, or if the metrics are not those in dvc.lock.
    """
    path, run = paths.metrics(name), revision.name
    if files.md5_of(metrics) != lock.outputs.get(str(path)):
        raise UserError(f"{run}: {path} does not match {LOCK}; {files.remedy(revision)}")
    scores = files.parse(METRICS, metrics, f"{run}: {path}")
    made_by = lock.only("prepare", f"train_{name}")
    texts, sources = made_by.parameters, made_by.sources
    try:
        if f"train_{name}" not in made_by.stages:
            raise KeyError(f"train_{name}")
        texts["prepare.md5"] = sources[str(paths.raw(texts["prepare.dataset"]))][:8]
        data = {key: text for key, text in sorted(texts.items()) if key.startswith("prepare.")}
        others = {key: text for key, text in sorted(texts.items()) if key not in data}
        data, hyperparameters = (
            {key.removeprefix(group): text for key, text in part.items()}
            for group, part in (("prepare.", data), (f"train_{name}.", others))
        )
        # A model need not have a seed.
        seeds = data.pop(SEED), hyperparameters.pop(SEED, "")
        accuracies = {"test": scores["test"]["accuracy"]}
        accuracies |= {key: score["accuracy"] for key, score in scores.items() if score}
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
