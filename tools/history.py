"""Revisions (a branch, tag, commit, experiment or the workspace): their files, and all models.

The inputs of a model are read from dvc.lock, since params.yaml may have been changed after the run.
"""

import functools
import hashlib
import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from dvc.api import DVCFileSystem
from dvc_data.index import DataIndexDirError
from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from digits import params, paths
from digits.data import DataSet
from digits.errors import UserError, first_line
from digits.text import printable, redact

WORKSPACE = "workspace"
LOCK = Path("dvc.lock")
SEED = "seed"
# Git's output is parsed here, so it must not depend on the user's settings.
GIT = ("git", "--no-pager", "-c", "color.ui=false", "-c", "log.showSignature=false")
T = TypeVar("T")


class Loader(yaml.CSafeLoader):
    """Reads YAML as DVC writes it: in version 1.2, "no" and "on" are texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [pair for pair in pairs if first in "tTfF" or not pair[0].endswith(":bool")]
        for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


class Revision(NamedTuple):
    """A revision as it was asked for; of the workspace, the commit that it is based on."""

    name: str
    commit: str
    date: datetime


class AbsentError(UserError):
    """A revision has no such file, or its content is neither here nor in the DVC remote."""


class File(BaseModel):
    """A file or folder."""

    path: str
    md5: str = ""


class Stage(BaseModel):
    """The last run of a stage."""

    deps: list[File] = []
    outs: list[File] = []
    params: dict[str, dict[str, Any]] = {}


class Lock(BaseModel):
    """dvc.lock: the inputs and outputs of each stage. Each path has an MD5."""

    stages: dict[str, Stage]

    @property
    def inputs(self) -> dict[str, str]:
        return {file.path: file.md5 for stage in self.stages.values() for file in stage.deps}

    @property
    def outputs(self) -> dict[str, str]:
        return {file.path: file.md5 for stage in self.stages.values() for file in stage.outs}

    @property
    def parameters(self) -> dict[str, Any]:
        """As in {"train_hidden.units": 1000}."""
        groups = (stage.params.get(str(paths.PARAMS), {}) for stage in self.stages.values())
        return {key: value for group in groups for key, value in flat(group).items()}

    @property
    def made_from(self) -> dict[str, Any]:
        """The parameters, and the code and data that no stage wrote."""
        return self.parameters | {
            path: md5 for path, md5 in self.inputs.items() if path not in self.outputs
        }

    @property
    def models(self) -> list[str]:
        """The names of the trained models; if there are evaluate.models, those, in that order."""
        names = [name.removeprefix("train_") for name in self.stages if name.startswith("train_")]
        trained = [name for name in names if str(paths.model(name)) in self.outputs]
        listed = self.parameters.get("evaluate.models")
        if not isinstance(listed, list):
            return trained
        return [name for name in listed if name in trained]

    def only(self, *stages: str) -> "Lock":
        """The part of it that has these stages."""
        return Lock(stages={name: self.stages[name] for name in stages if name in self.stages})


# metrics/NAME.json, as in {"test": {"accuracy": 0.9784}}.
METRICS = TypeAdapter(dict[str, dict[str, FiniteFloat]]).validate_json


class Settings(NamedTuple):
    """All that makes a model, except the seeds: models of equal settings differ by chance alone."""

    model: str
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


def find(name: str) -> Revision:
    """The revision of that name. Raises UserError if there is none, or several experiments."""
    wanted = "HEAD" if name == WORKSPACE else name
    # Through its input, since a name may look like an option.
    answer = git("cat-file", "--batch-check", stdin=f"{wanted}^{{commit}}")
    match = re.fullmatch(r"([0-9a-f]{40}) commit \d+\n", answer)
    commits = [match[1]] if match else [sha for sha, other in references() if other == name]
    if not commits:
        remote = [other for _, other in references() if other.endswith(f"/{name}")]
        hint = f"; did you mean {printable(remote[0])}?" if remote else ""
        raise UserError(f"{name!r}: no branch, tag, commit or experiment has that name{hint}")
    if len(commits) > 1:
        raise UserError(f"{name!r}: several experiments have that name")
    date = git("show", "--no-patch", "--format=%cI", f"{commits[0]}^{{commit}}").strip()
    return Revision(name, commits[0], datetime.fromisoformat(date))


def references() -> list[tuple[str, str]]:
    """Commits and names of all branches, tags and, after them, experiments."""
    # refs/exps/12/34.../name, where 1234... is the commit that an experiment was run on.
    patterns = ("refs/heads", "refs/remotes", "refs/tags", "refs/exps/*/*/*")
    show = ("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)")
    listed = "".join(git(*show, pattern) for pattern in patterns)
    named = re.findall(
        r"(?m)^(?:commit|tag) (\w+) refs/(?:heads|remotes|tags|exps/\w+/\w+)/(.+)$", listed
    )
    return [(commit, name) for commit, name in named if not name.endswith("/HEAD")]


def git(*arguments: str, stdin: str = "") -> str:
    """The output of a Git command. Raises UserError with Git's message if it fails."""
    done = subprocess.run(
        [*GIT, *arguments],
        env=os.environ | {"LC_ALL": "C"},
        input=stdin.encode(errors="surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise UserError(message or f"git {arguments[0]} failed")
    return done.stdout.decode(errors="surrogateescape")


@functools.cache
def lock(revision: Revision) -> Lock:
    """dvc.lock of a revision. Raises UserError if there is none, or one in a merge conflict."""
    if revision.name == WORKSPACE:
        refuse_conflicts()
        content = LOCK.read_bytes() if LOCK.is_file() else b""
    else:
        content = blobs([(revision.commit, LOCK)])[0]
    if not content:
        raise AbsentError(
            f"{revision.name}: has no {LOCK}: it was not run, or the project was elsewhere"
        )
    return parse_lock(content, revision.name)


def parse_lock(content: bytes, run: str) -> Lock:
    """The content of a run's dvc.lock. Raises UserError if it is something else."""
    try:
        # Ten times faster than ruamel.yaml; there may be hundreds to read.
        found = Loader(content).get_single_data()
        # A value may be nested too deeply to be printed.
        str(found)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{run}: {LOCK} is not YAML ({printable(first_line(error))})") from None
    return parse(Lock.model_validate, found, f"{run}: {LOCK}")


def parse(validate: Callable[[Any], T], content: Any, source: str) -> T:
    """Content that pydantic has checked. Raises UserError, which names `source`."""
    try:
        return validate(content)
    except ValidationError as unfit:
        first = unfit.errors()[0]
        where = printable(".".join(map(str, first["loc"])))
        raise UserError(f"{source}: {where}: {first['msg']}") from None


def refuse_conflicts() -> None:
    """Raise UserError in the middle of a merge."""
    for path in (LOCK, paths.PARAMS):
        if path.is_file() and re.search(rb"^<{7} ", path.read_bytes(), re.MULTILINE):
            raise UserError(f"merge conflict in {path}: see docs/troubleshooting.md")


@functools.cache
def read(revision: Revision, path: Path) -> bytes:
    """A file that Git or DVC tracks, with the MD5 that dvc.lock, or a folder in it, has for it.

    Raises AbsentError if there is no such file, and UserError if its content is another one.
    """
    listed = lock(revision).outputs.get(str(path))
    tree, folder = _tree(revision)
    name = f"{folder}{path}"
    try:
        md5 = listed or tree.info(name).get("dvc_info", {}).get("md5")
        # DVC's `cache=True` would keep a damaged file of the remote.
        with tree.open(name, "rb") as file:
            content: bytes = file.read()
        if not md5:
            raise FileNotFoundError
    except Exception as error:
        raise _absent(revision, path, error) from None
    if md5 == _md5(content):
        return content
    if revision.name == WORKSPACE:
        raise UserError(f"{path} is not the one in {LOCK}: dvc checkout, dvc pull or dvc repro")
    raise UserError(f"{revision.name}: {path} is damaged in DVC's cache or remote")


def _absent(revision: Revision, path: Path, error: Exception) -> AbsentError:
    # Each kind of remote raises others.
    nowhere = isinstance(error, FileNotFoundError | DataIndexDirError)
    reason = "neither here nor in the DVC remote" if nowhere else redact(first_line(error))
    remedy = "dvc repro"
    if revision.name != WORKSPACE:
        there = f"git switch --detach {revision.commit[:7]}"
        remedy = f"{there} && {remedy} && git switch - && dvc checkout"
    return AbsentError(f"{revision.name}: no {path} ({reason}); to make it: {remedy}")


@functools.cache
def _tree(revision: Revision) -> tuple[DVCFileSystem, str]:
    """The files of a revision, and the project's folder among them."""
    if revision.name == WORKSPACE:
        return DVCFileSystem(), ""
    prefix = git("rev-parse", "--show-prefix").strip()
    return DVCFileSystem(rev=revision.commit, subrepos=True), prefix


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def files(revision: Revision, output: str) -> list[Path]:
    """The file that is an output of a stage, or all in that folder. Raises AbsentError."""
    tree, top = _tree(revision)
    try:
        return [Path(name).relative_to(top) for name in sorted(tree.find(f"{top}{output}"))]
    except DataIndexDirError as error:
        raise _absent(revision, Path(output), error) from None


def models(revision: Revision) -> dict[str, bytes]:
    """The content of the revision's models, by name. Raises UserError as `read` does."""
    return {name: read(revision, paths.model(name)) for name in lock(revision).models}


def dataset(revision: Revision) -> DataSet:
    """The revision's data set. Before labels had names, they were 0 to 9."""
    if str(paths.DATASET) not in lock(revision).outputs:
        name = shown(lock(revision).parameters.get("prepare.dataset"))
        return DataSet(name, tuple("0123456789"))
    source = f"{revision.name}: {paths.DATASET}"
    return parse(TypeAdapter(DataSet).validate_json, read(revision, paths.DATASET), source)


def in_workspace(lock: Lock) -> dict[str, Any]:
    """`lock.made_from` as it would be after a run in the workspace as it is now.

    Data that are not here count as unchanged. Raises UserError as `params.read` does.
    """
    refuse_conflicts()
    groups = {key.partition(".")[0] for key in lock.parameters}
    now = flat({name: group for name, group in params.read().items() if name in groups})
    for name in lock.made_from.keys() & lock.inputs.keys():
        path = Path(name)
        kept = "" if path.suffix == ".py" else lock.inputs[name]
        now[name] = _md5(path.read_bytes()) if path.is_file() else kept
    return now


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The parameters and files whose values differ, with both; "none": it has none."""
    keys = dict.fromkeys([*old, *new])
    texts = {key: (shown(old.get(key, "none")), shown(new.get(key, "none"))) for key in keys}
    return {key: pair for key, pair in texts.items() if pair[0] != pair[1]}


def shown(value: Any) -> str:
    """A parameter as in params.yaml. (Compare only these: to PyYAML, 1e-05 is a text.)"""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def unrun(revision: Revision) -> str:
    """The names of all that has changed since the files of a revision were written, or ""."""
    run = lock(revision)
    changed = [path for path, md5 in run.inputs.items() if run.outputs.get(path, md5) != md5]
    if revision.name == WORKSPACE:
        changed += changes(run.made_from, in_workspace(run))
    return ", ".join(changed)


def flat(groups: Mapping[str, Any]) -> dict[str, Any]:
    """Groups of parameters, as in {"train_hidden.units": 1000}."""
    values: dict[str, Any] = {}
    for name, group in groups.items():
        pairs = group.items() if isinstance(group, dict) else ()
        values |= {f"{name}.{key}": value for key, value in pairs} or {name: group}
    return values


def runs() -> tuple[list[Model], list[str]]:
    """The models of all finished runs, and the branches, tags and experiments that do not fit.

    Each model, and each combination of settings and seeds, is there once; branches come first.
    """
    named = references()
    log = ("log", "--full-history", "--format=%H %h", "--abbrev=7", "--branches", "--tags")
    older = git(*log, "--remotes", "--glob=refs/exps", "HEAD", "--", str(LOCK)).splitlines()
    commits: dict[str, str] = {}
    for commit, name in [*named, *(line.split() for line in older)]:
        commits.setdefault(commit, name)
    locks = blobs((commit, LOCK) for commit in commits)
    models: dict[tuple[Settings, tuple[str, str]], Model] = {}
    seen, unfit = set(), []
    for (commit, run), content in zip(commits.items(), locks, strict=True):
        try:
            found = parse_lock(content, run) if content else Lock(stages={})
            for name in found.models:
                if found.outputs[str(paths.model(name))] not in seen:
                    this = model(found, name, run, *blobs([(commit, paths.metrics(name))]))
                    seen.add(this.md5)
                    models.setdefault((this.settings, this.seeds), this)
        except UserError:
            unfit.append(run)
    return list(models.values()), [run for _, run in named if run in unfit]


def blobs(wanted: Iterable[tuple[str, Path]]) -> list[bytes]:
    """The contents of files that Git tracks, by commit and path; b"" where there is none."""
    names = "".join(f"{commit}:./{path}\n" for commit, path in wanted)
    answers = io.BytesIO(git("cat-file", "--batch", stdin=names).encode(errors="surrogateescape"))
    contents = []
    # "<id> blob <size>", the content and a line feed; or "<name> missing".
    while head := answers.readline().split():
        contents.append(answers.read(int(head[2]) + 1)[:-1] if head[1] == b"blob" else b"")
    return contents


def model(lock: Lock, name: str, run: str, metrics: bytes) -> Model:
    """One of the models of a run, from its dvc.lock and its metrics/NAME.json.

    Raises UserError if they do not fit this pipeline.
    """
    used = lock.only("prepare", f"train_{name}")
    made_from = {key: shown(value) for key, value in used.made_from.items()}
    code = sorted(item for item in made_from.items() if item[0].endswith(".py"))
    data, hyperparameters = (
        {
            key.removeprefix(group): value
            for key, value in made_from.items()
            if key.startswith(group)
        }
        for group in ("prepare.", f"train_{name}.")
    )
    scores = parse(METRICS, metrics, f"{run}: {paths.metrics(name)}")
    try:
        seeds = data.pop(SEED), hyperparameters.pop(SEED)
        data["md5"] = made_from[str(paths.raw(data["dataset"]))][:8]
        validation, test = scores["validation"].get("accuracy"), scores["test"]["accuracy"]
    except KeyError as error:
        raise UserError(f"{run}: made by another pipeline, without {error}") from None
    settings = Settings(
        name,
        tuple(sorted(data.items())),
        tuple(sorted(hyperparameters.items())),
        hashlib.sha256(repr(code).encode()).hexdigest(),
    )
    return Model(settings, seeds, used.outputs[str(paths.model(name))], run, validation, test)
