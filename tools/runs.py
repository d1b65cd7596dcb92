"""The models of all finished runs that Git knows of: branches, tags, commits and experiments.

What made a model is read from dvc.lock, since params.yaml may have been changed after the run.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from digits import params, paths
from tools import revisions

SEED = "seed"


class Settings(NamedTuple):
    """What makes a model, but for the seeds: models of equal settings differ by chance alone."""

    kind: str  # one of paths.MODELS
    data: tuple[tuple[str, str], ...]  # the parameters of prepare, and an MD5 of the raw data
    hyperparameters: tuple[tuple[str, str], ...]
    code: str  # a hash of the modules that prepared the data and trained the model


class Model(NamedTuple):
    """A trained model, and the accuracies that were measured."""

    settings: Settings
    seeds: tuple[str, str]  # of prepare, of the training
    md5: str  # of its file
    run: str  # a name of the revision
    validation: float | None  # None: no images were held out
    test: float


def model(kind: str, run: str, stages: dict[str, Any], metrics: bytes) -> Model | None:
    """One of the models of a run, from the stages in its dvc.lock and its metrics/KIND.json.

    None if that is another pipeline, with other stages, parameters or metrics.
    """
    try:
        prepare, train = stages["prepare"], stages[f"train_{kind}"]
        data = _group(prepare, "prepare")
        hyperparameters = _group(train, f"train_{kind}")
        seeds = (data.pop(SEED), hyperparameters.pop(SEED))
        files = {file["path"]: file["md5"] for file in (*prepare["deps"], *train["deps"])}
        code = sorted(item for item in files.items() if item[0].endswith(".py"))
        data["md5"] = files[str(paths.raw(data["dataset"]))][:8]
        accuracy = json.loads(metrics)
        validation = accuracy.get("validation")
        return Model(
            Settings(
                kind,
                tuple(sorted(data.items())),
                tuple(sorted(hyperparameters.items())),
                hashlib.sha256(repr(code).encode()).hexdigest(),
            ),
            seeds,
            {file["path"]: file["md5"] for file in train["outs"]}[str(paths.model(kind))],
            run,
            float(validation["accuracy"]) if validation else None,
            float(accuracy["test"]["accuracy"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _group(stage: dict[str, Any], name: str) -> dict[str, str]:
    """A stage's parameters as text, so that lists can be compared, too."""
    return {key: str(value) for key, value in stage["params"][str(params.PATH)][name].items()}


def models() -> list[Model]:
    """All models, each once, whatever number of runs it was part of; those of branches first.

    Of several with the same settings and seeds, which differ where runtime.portable was false,
    the first counts.
    """
    found: dict[tuple[Settings, tuple[str, str]], Model] = {}
    files = set()
    for run, (lock, *metrics) in _contents((revisions.LOCK, *map(paths.metrics, paths.MODELS))):
        stages = revisions.parse_lock(lock) or {}
        for kind, content in zip(paths.MODELS, metrics, strict=True):
            this = model(kind, run, stages, content)
            if this and this.md5 not in files:
                files.add(this.md5)
                found.setdefault((this.settings, this.seeds), this)
    return list(found.values())


def _contents(files: Sequence[Path]) -> Iterator[tuple[str, list[bytes]]]:
    """The name of every run that Git has, and the contents of the files; b"": no such file."""
    commits = _commits()
    wanted = "".join(f"{commit}:{path}\n" for commit in commits for path in files)
    answers = io.BytesIO(
        revisions.git("cat-file", "--batch", stdin=wanted).encode(errors="surrogateescape")
    )
    for run in commits.values():
        contents = []
        for _ in files:
            # "<id> blob <size>", the content, a line end; or "<what was asked for> missing".
            head = answers.readline().split()
            contents.append(answers.read(int(head[2]) + 1)[:-1] if len(head) == 3 else b"")
        yield run, contents


def _commits() -> dict[str, str]:
    """Commits and their names: branches, tags, experiments, and where dvc.lock was changed."""
    tips = revisions.git(
        *("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)"),
        *("refs/heads", "refs/tags", "refs/remotes"),
    )
    changes = revisions.git(
        *("log", "--full-history", "--format=%H %h", "--branches", "--tags", "--remotes"),
        *("--glob=refs/exps", "HEAD", "--", str(revisions.LOCK)),
    )
    named = [
        *((line[:40], line[41:]) for line in tips.splitlines() if not line.endswith("/HEAD")),
        *revisions.experiments(),
        *((line[:40], line[41:]) for line in changes.splitlines()),
    ]
    names: dict[str, str] = {}
    for commit, name in named:
        names.setdefault(commit, name)
    return names
