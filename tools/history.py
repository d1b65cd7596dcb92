"""Revisions (a branch, tag, commit, experiment or the workspace): their files, and all models.

The inputs of a model are read from dvc.lock, since params.yaml may have been changed after the run.
A file that does not fit this pipeline raises a UserError that names it and its revision.
"""

import functools
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import yaml
from dvc.api import DVCFileSystem
from dvc.utils.flatten import flatten
from dvc_data.index import DataIndexDirError
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from pydantic import AfterValidator, BaseModel, FiniteFloat, TypeAdapter, ValidationError

from digits import params, paths
from digits.data import DataSet
from digits.errors import UserError, first_line
from digits.text import redact

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
    # By their file, as in {"train_hidden.units": 1000}.
    params: dict[str, Annotated[dict[str, Any], AfterValidator(flatten)]] = {}


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
        found = (stage.params.get(str(paths.PARAMS), {}) for stage in self.stages.values())
        return {key: value for values in found for key, value in values.items()}

    @property
    def made_from(self) -> dict[str, Any]:
        """The parameters, and the code and data that no stage wrote."""
        files = {path: md5 for path, md5 in self.inputs.items() if path not in self.outputs}
        return self.parameters | files

    @property
    def models(self) -> list[str]:
        """The names of the trained models; if there are evaluate.models, those, in that order."""
        names = [name.removeprefix("train_") for name in self.stages if name.startswith("train_")]
        trained = [name for name in names if str(paths.model(name)) in self.outputs]
        listed = self.parameters.get("evaluate.models")
        return [name for name in listed if name in trained] if isinstance(listed, list) else trained

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
    run: str  # a name of the revision
    validation: float | None  # None: no images were held out
    test: float


def find(name: str) -> Revision:
    """The revision of that name. Raises UserError if there is none, or several experiments."""
    wanted = "HEAD" if name == WORKSPACE else name
    # Through its input, since a name may look like an option.
    answer = git("cat-file", "--batch-check", stdin=f"{wanted}^{{commit}}")
    if re.fullmatch(r"[0-9a-f]{40} commit \d+\n", answer):
        return Revision(name, answer[:40])
    known = references()
    found = [revision for revision in known if revision.name == name]
    if len(found) == 1:
        return found[0]
    problem = "several experiments have" if found else "no branch, tag, commit or experiment has"
    hints = [f"; did you mean {other.name}?" for other in known if other.name.endswith(f"/{name}")]
    raise UserError(f"{name!r}: {problem} that name{''.join(hints[:1])}")


def references() -> list[Revision]:
    """All branches, tags and, after them, experiments."""
    show = ("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)")
    # refs/exps/12/34.../name, where 1234... is the commit that an experiment was run on.
    listed = git(*show, "refs/heads", "refs/remotes", "refs/tags") + git(*show, "refs/exps/*/*/*")
    pattern = r"(?m)^(?:commit|tag) (\w+) refs/(?:heads|remotes|tags|exps/\w+/\w+)/(.+)$"
    named = re.findall(pattern, listed)
    return [Revision(name, commit) for commit, name in named if not name.endswith("/HEAD")]


def git(*arguments: str, stdin: str = "") -> str:
    """The output of a Git command. Raises UserError with Git's message if it fails."""
    done = subprocess.run(
        [*GIT, *arguments],
        input=stdin.encode(errors="surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise UserError(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode(errors="surrogateescape")


@functools.cache
def lock(revision: Revision) -> Lock:
    """dvc.lock of a revision. Raises UserError if there is none, or one in a merge conflict."""
    if revision.name == WORKSPACE:
        refuse_conflicts()
        content = LOCK.read_bytes() if LOCK.is_file() else b""
    else:
        (content,) = blobs([revision.commit], LOCK)
    if not content:
        raise AbsentError(f"{revision.name}: has no {LOCK}: not run, or the project was elsewhere")
    return parse_lock(content, revision.name)


def refuse_conflicts() -> None:
    """Raise UserError in the middle of a merge."""
    for path in (LOCK, paths.PARAMS):
        if path.is_file() and re.search(rb"^<{7} ", path.read_bytes(), re.MULTILINE):
            raise UserError(f"merge conflict in {path}: see docs/troubleshooting.md")


def parse_lock(content: bytes, run: str) -> Lock:
    """The content of a run's dvc.lock."""
    try:
        # Ten times faster than ruamel.yaml; there may be hundreds to read.
        found = Loader(content).get_single_data()
        # A value may be nested too deeply to be printed.
        str(found)
        return parse(Lock.model_validate, found, f"{run}: {LOCK}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{run}: {LOCK} is not YAML ({first_line(error)})") from None


def parse(validate: Callable[[Any], T], content: Any, source: str) -> T:
    """Content that pydantic has checked. Raises UserError, which names `source`."""
    try:
        return validate(content)
    except ValidationError as unfit:
        first = unfit.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{source}: {where}: {first['msg']}") from None


@functools.cache
def read(revision: Revision, path: Path) -> bytes:
    """An output of a stage. Raises AbsentError if it is not there, UserError if it is another."""
    listed, tree = lock(revision).outputs.get(str(path)), _tree(revision)
    try:
        md5 = listed or tree.info(str(path))["dvc_info"]["md5"]
        content: bytes = tree.read_bytes(str(path))
    except Exception as error:
        raise _absent(revision, path, error) from None
    if md5 == _md5(content):
        return content
    if revision.name == WORKSPACE:
        raise UserError(f"{path} is not the one in {LOCK}: dvc checkout, dvc pull or dvc repro")
    raise UserError(f"{revision.name}: {path} is damaged in DVC's cache or remote")


def _absent(revision: Revision, path: Path, error: Exception) -> AbsentError:
    # Each kind of remote raises others.
    nowhere = isinstance(error, KeyError | FileNotFoundError | DataIndexDirError)
    reason = "neither here nor in the DVC remote" if nowhere else redact(first_line(error))
    remedy = "dvc repro"
    if revision.name != WORKSPACE:
        there = f"git switch --detach {revision.commit[:7]}"
        remedy = f"{there} && {remedy} && git switch - && dvc checkout"
    return AbsentError(f"{revision.name}: no {path} ({reason}); to make it: {remedy}")


@functools.cache
def _tree(revision: Revision) -> AbstractFileSystem:
    """The project's files."""
    if revision.name == WORKSPACE:
        return DVCFileSystem()
    # At a commit, DVC counts from Git's top folder.
    project = git("rev-parse", "--show-prefix").strip() or "/"
    return DirFileSystem(project, DVCFileSystem(rev=revision.commit, subrepos=True))


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def files(revision: Revision, output: str) -> list[Path]:
    """The file that is an output of a stage, or all in that folder. Raises AbsentError."""
    try:
        return [Path(name) for name in sorted(_tree(revision).find(output))]
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
    """`lock.made_from` as it would be after a run in the workspace as it is now."""
    groups = {key.partition(".")[0] for key in lock.parameters}
    now = flatten({name: group for name, group in params.read().items() if name in groups})
    for path in map(Path, lock.made_from.keys() & lock.inputs.keys()):
        # Data that are not here count as unchanged.
        kept = "" if path.suffix == ".py" else lock.inputs[str(path)]
        now[str(path)] = _md5(path.read_bytes()) if path.is_file() else kept
    return dict(now)


def changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The parameters and files whose values differ, with both; "none": it has none."""
    texts = {key: (shown(old.get(key, "none")), shown(new.get(key, "none"))) for key in old | new}
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


def runs() -> tuple[list[Model], list[str]]:
    """The models of all finished runs, and the branches, tags and experiments that do not fit."""
    named = references()
    log = git("log", "--all", "--full-history", "--format=%h %H", "--abbrev=7", "--", str(LOCK))
    names: dict[str, str] = {}
    for name, commit in [*named, *(line.split() for line in log.splitlines())]:
        names.setdefault(commit, name)
    # Each combination of settings and seeds is there once, and so is each file.
    models: dict[tuple[Settings, tuple[str, str]], Model] = {}
    seen, unfit = set(), []
    for (commit, run), content in zip(names.items(), blobs(names, LOCK), strict=True):
        try:
            found = parse_lock(content or b"stages: {}", run)
            for name in found.models:
                md5 = found.outputs[str(paths.model(name))]
                if md5 not in seen:
                    this = model(found, name, run, *blobs([commit], paths.metrics(name)))
                    models.setdefault((this.settings, this.seeds), this)
                    seen.add(md5)
        except UserError:
            unfit.append(run)
    return list(models.values()), [run for run, _ in named if run in unfit]


def blobs(commits: Iterable[str], path: Path) -> list[bytes]:
    """The content, at each commit, of a file that Git tracks; b"" where there is none."""
    names = "".join(f"{commit}:./{path}\n" for commit in commits)
    answers = io.BytesIO(git("cat-file", "--batch", stdin=names).encode(errors="surrogateescape"))
    contents = []
    # "<id> blob <size>", the content and a line feed; or "<name> missing".
    while head := answers.readline().split():
        contents.append(answers.read(int(head[2]) + 1)[:-1] if head[1] == b"blob" else b"")
    return contents


def model(lock: Lock, name: str, run: str, metrics: bytes) -> Model:
    """One of the models of a run, from its dvc.lock and its metrics/NAME.json."""
    used = lock.only("prepare", f"train_{name}").made_from
    scores = parse(METRICS, metrics, f"{run}: {paths.metrics(name)}")
    try:
        used["prepare.md5"] = used[str(paths.raw(used["prepare.dataset"]))][:8]
        texts = {key: shown(value) for key, value in sorted(used.items())}
        data, hyperparameters = (
            {key.removeprefix(group): text for key, text in texts.items() if key.startswith(group)}
            for group in ("prepare.", f"train_{name}.")
        )
        seeds = data.pop(SEED), hyperparameters.pop(SEED)
        validation, test = scores["validation"].get("accuracy"), scores["test"]["accuracy"]
    except KeyError as error:
        raise UserError(f"{run}: made by another pipeline, without {error}") from None
    code = [item for item in texts.items() if item[0].endswith(".py")]
    digest = hashlib.sha256(repr(code).encode()).hexdigest()
    settings = Settings(name, tuple(data.items()), tuple(hyperparameters.items()), digest)
    return Model(settings, seeds, run, validation, test)
