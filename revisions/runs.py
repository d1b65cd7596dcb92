"""List the models of all runs in Git: branches, tags, commits and experiments."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from pydantic import FiniteFloat, TypeAdapter

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from revisions.files import LOCK, Lock, blobs, format_value, git, parse, parse_lock, references

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
    run: str  # a name of the revision
    validation: float | None  # None: no images were held out
    test: float


def models() -> tuple[list[Model], list[str]]:
    """List the models of all finished runs, and the references that do not fit."""
    named = references()
    log = git("log", "--all", "--full-history", "--format=%h %H", "--abbrev=7", "--", str(LOCK))
    names: dict[str, str] = {}
    for name, commit in [*named, *(line.split() for line in log.splitlines())]:
        names.setdefault(commit, name)
    # Each combination of settings and seeds is there once, and so is each file.
    listed: dict[tuple[ModelSettings, tuple[str, str]], Model] = {}
    seen, unfit = set(), []
    for (commit, run), content in zip(names.items(), blobs(names, LOCK), strict=True):
        try:
            lock = parse_lock(content or b"stages: {}", run)
            for name in lock.models:
                md5 = lock.outputs[str(paths.model(name))]
                if md5 not in seen:
                    this = model(lock, name, run, *blobs([commit], paths.metrics(name)))
                    listed.setdefault((this.settings, this.seeds), this)
                    seen.add(md5)
        except UserError:
            unfit.append(run)
    return list(listed.values()), [run for run, _ in named if run in unfit]


def model(lock: Lock, name: str, run: str, metrics: bytes) -> Model:
    """Describe one of the models of a run, from its dvc.lock and its metrics/NAME.json."""
    run_of_model = lock.only("prepare", f"train_{name}")
    used = run_of_model.inputs_and_params
    scores = parse(METRICS, metrics, f"{run}: {paths.metrics(name)}")
    try:
        used["prepare.md5"] = used[str(paths.raw(used["prepare.dataset"]))][:8]
        texts = {key: format_value(value) for key, value in sorted(used.items())}
        data, hyperparameters = (
            {key.removeprefix(group): text for key, text in texts.items() if key.startswith(group)}
            for group in ("prepare.", f"train_{name}.")
        )
        seeds = data.pop(SEED), hyperparameters.pop(SEED)
        validation, test = scores["validation"].get("accuracy"), scores["test"]["accuracy"]
    except KeyError as error:
        raise UserError(f"{run} comes from a different pipeline: {error} is missing") from None
    sources = sorted(run_of_model.sources.items())
    code = [item for item in sources if paths.RAW not in Path(item[0]).parents]
    digest = hashlib.sha256(repr(code).encode()).hexdigest()
    settings = ModelSettings(name, tuple(data.items()), tuple(hyperparameters.items()), digest)
    return Model(settings, seeds, run, validation, test)
