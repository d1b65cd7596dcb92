"""Read the files of any revision: a branch, tag, commit, experiment or the workspace.

The inputs of a model are read from dvc.lock, since params.yaml may have been changed after the run.
A file that does not fit this pipeline raises a UserError that names it and its revision.
"""

import functools
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from dvc.api import DVCFileSystem
from dvc.utils.flatten import flatten
from dvc_data.index import DataIndexDirError
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from pydantic import AfterValidator, BaseModel, Field

from digits import data
from digits.data import Description
from digits.plumbing import params, paths
from digits.plumbing.errors import UserError, first_line
from digits.plumbing.terminal import redact
from digits.portable import formats

WORKSPACE = "workspace"
LOCK = Path("dvc.lock")
# Git's output is parsed here, so it must not depend on the user's settings.
SETTINGS = "-c color.ui=false -c i18n.logOutputEncoding=UTF-8 -c log.showSignature=false"
GIT = ("git", "--no-pager", *SETTINGS.split())
# Limits of a dvc.lock that others wrote: nested deeper, it crashes PyYAML, and in a few bytes,
# aliases can stand for any number of values.
MAX_BYTES, MAX_VALUES, MAX_DEPTH = 1_000_000, 20_000, 100
OPENED = re.compile(rb"[\[{]|[-?][ \t]+(?=[-?][ \t])")


class Revision(NamedTuple):
    """A revision as the user named it; for the workspace, the commit that it is based on."""

    name: str
    commit: str


class MissingOutputError(UserError):
    """A revision has no such file, or its content is neither here nor in the DVC remote."""


class File(BaseModel):
    """A file or folder."""

    path: str = Field(pattern=r"^[^\x00-\x1f]+$")
    md5: str = ""


class Stage(BaseModel):
    """The last run of a stage."""

    deps: list[File] = []
    outs: list[File] = []
    # Parameters by their file, as in {"train_hidden.units": "1000"}.
    params: dict[str, Annotated[dict[str, Any], AfterValidator(flatten)]] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        return self.params.get(str(paths.PARAMS), {})


class Lock(BaseModel):
    """dvc.lock: the inputs and outputs of each stage. Each path has an MD5."""

    stages: dict[Annotated[str, Field(pattern=r"^[\w@.-]+$")], Stage]

    @property
    def outputs(self) -> dict[str, str]:
        return {file.path: file.md5 for stage in self.stages.values() for file in stage.outs}

    @property
    def counting(self) -> dict[str, Stage]:
        """The evaluation, and all stages that it builds on; without it, all stages."""
        # DVC keeps stages that dvc.yaml no longer has.
        return self.upstream("evaluate").stages or self.stages

    def upstream(self, last: str) -> "Lock":
        """Return the part of it that has this stage, if it was run, and all that it builds on."""
        writers = {file.path: name for name, stage in self.stages.items() for file in stage.outs}
        used = [last] if last in self.stages else []
        for name in used:
            used += {writers.get(file.path, name) for file in self.stages[name].deps} - {*used}
        return Lock(stages={name: stage for name, stage in self.stages.items() if name in used})

    @property
    def sources(self) -> dict[str, str]:
        """The code and data that no stage wrote; where stages used different ones, all MD5s."""
        written = self.outputs
        files = (file for stage in self.counting.values() for file in stage.deps)
        return _by_key((file.path, file.md5) for file in files if file.path not in written)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters as texts; where stages used different ones, all of them."""
        values = (item for stage in self.counting.values() for item in stage.parameters.items())
        return _by_key((key, format_value(value)) for key, value in values)

    @property
    def choices(self) -> dict[str, str]:
        """The parameters, and the raw data."""
        raw = {path: md5 for path, md5 in self.sources.items() if paths.RAW in Path(path).parents}
        return self.parameters | raw

    @property
    def models(self) -> dict[str, str]:
        """The paths of the trained models by name, in the order of evaluate.models."""
        outputs = [out.path for stage in self.counting.values() for out in stage.outs]
        trained = {Path(path).stem: path for path in outputs if Path(path).parent == paths.MODELS}
        evaluate = self.stages.get("evaluate", Stage()).parameters.get("evaluate.models")
        listed = map(str, evaluate) if isinstance(evaluate, list) else trained
        return {name: trained[name] for name in listed if name in trained}

    @property
    def gap(self) -> str:
        """What keeps this from being a whole run, or "".

        In a whole run, the evaluation and all that it builds on used what the other stages wrote.
        """
        if "evaluate" not in self.stages:
            return "no run of evaluate"
        written = self.outputs
        for name, stage in self.counting.items():
            for file in stage.deps:
                if file.md5 != written.get(file.path, file.md5):
                    return f"{name} used a different {file.path}"
        return ""


def _by_key(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, dict[str, None]] = {}
    for key, value in items:
        values.setdefault(key, {})[value] = None
    return {key: " and ".join(texts) for key, texts in values.items()}


def find(name: str) -> Revision:
    """Find a revision by name. Raises UserError if there is none, or several experiments."""
    wanted = "HEAD" if name == WORKSPACE else name
    # The name goes through standard input, since it may look like an option.
    answer = git("cat-file", "--batch-check", stdin=f"{wanted}^{{commit}}")
    if re.fullmatch(r"[0-9a-f]{40} commit \d+\n", answer):
        return Revision(name, answer[:40])
    if name == WORKSPACE:
        raise UserError("no commit yet: git add --all && git commit --message 'First commit'")
    known = references()
    same = [revision for revision in known if revision.name == name]
    if len(same) == 1:
        return same[0]
    problem = "several experiments have" if same else "no branch, tag, commit or experiment has"
    hints = [f"; did you mean {other.name}?" for other in known if other.name.endswith(f"/{name}")]
    raise UserError(f"{name!r}: {problem} that name{''.join(hints[:1])}")


def references() -> list[Revision]:
    """List all branches, tags and, after them, experiments: main first, then the oldest."""
    show = ("for-each-ref", "--sort=creatordate", "--format=%(objecttype) %(objectname) %(refname)")
    # refs/exps/12/34.../name, where 1234... is the commit that an experiment was run on.
    listed = git(*show, "refs/heads", "refs/remotes", "refs/tags") + git(*show, "refs/exps/*/*/*")
    pattern = r"(?m)^(?:commit|tag) (\w+) refs/(?:heads|remotes|tags|exps/\w+/\w+)/(.+)$"
    named = re.findall(pattern, listed)
    # The commits of a branch with the name of the workspace have names of their own.
    named = [(commit, name) for commit, name in named if name != WORKSPACE]
    revisions = [Revision(name, commit) for commit, name in named if not name.endswith("/HEAD")]
    return sorted(revisions, key=lambda revision: revision.name not in ("main", "origin/main"))


def git(*arguments: str, stdin: str = "") -> str:
    """Return the output of a Git command. Raises UserError with Git's message if it fails."""
    content = stdin.encode(errors="surrogateescape")
    done = subprocess.run([*GIT, *arguments], input=content, capture_output=True, check=False)
    if done.returncode:
        raise UserError(redact(done.stderr.decode(errors="replace").strip()))
    return done.stdout.decode(errors="surrogateescape")


@functools.cache
def lock(revision: Revision) -> Lock:
    """Read dvc.lock of a revision. Raises UserError if it is missing or in a merge conflict."""
    if revision.name == WORKSPACE:
        refuse_conflicts()
        content = LOCK.read_bytes() if LOCK.is_file() else b""
    else:
        (content,) = blobs([(revision.commit, LOCK)])
    if not content:
        reason = "it was never run, or the project was in another folder"
        raise MissingOutputError(f"{revision.name} has no {LOCK}: {reason}")
    return parse_lock(content, revision.name)


def refuse_conflicts() -> None:
    """Raise UserError in the middle of a merge."""
    for path in (LOCK, paths.PARAMS):
        if path.is_file() and re.search(rb"^<{7} ", path.read_bytes(), re.MULTILINE):
            raise UserError(f"merge conflict in {path}: see docs/troubleshooting.md")


def whole_lock(revision: Revision) -> Lock:
    """Read dvc.lock of a revision. Raises UserError as `lock` does, and if its run has a gap."""
    run = lock(revision)
    if run.gap:
        raise UserError(f"{revision.name} is not a whole run: {run.gap}; {remedy(revision)}")
    return run


def remedy(revision: Revision) -> str:
    """Say how to make a run whole."""
    return "run dvc repro" + (", then commit" if revision.name != WORKSPACE else "")


def parse_lock(content: bytes, run: str) -> Lock:
    """Parse the content of a run's dvc.lock. Raises UserError if it is not one."""
    too_large = UserError(f"{run}: {LOCK} is too large or nested too deeply")
    if len(content) > MAX_BYTES or len(OPENED.findall(content)) > 10 * MAX_DEPTH:
        raise too_large
    try:
        # Ten times faster than ruamel.yaml; there may be hundreds to read. All values are texts:
        # PyYAML reads YAML 1.1 and DVC writes 1.2, in which other texts are numbers or booleans.
        values = yaml.load(content, yaml.CBaseLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{run}: {LOCK} is not YAML ({first_line(error)})") from None
    inside = [(values, 0)]
    for value, depth in inside:
        if isinstance(value, dict | list):
            items = value.values() if isinstance(value, dict) else value
            inside += [(item, depth + 1) for item in items]
        if len(inside) > MAX_VALUES or depth > MAX_DEPTH:
            raise too_large
    return formats.parse(Lock.model_validate, values, f"{run}: {LOCK}")


@functools.cache
def read(revision: Revision, path: Path) -> bytes:
    """Read a stage's output.

    Raises MissingOutputError if it is missing, UserError if it does not match dvc.lock.
    """
    listed, tree = lock(revision).outputs.get(str(path)), _tree(revision)
    try:
        md5 = listed or tree.info(str(path))["dvc_info"]["md5"]
        content: bytes = tree.read_bytes(str(path))
    except Exception as error:
        raise _missing(revision, path, error) from None
    if md5 == md5_of(content):
        return content
    if revision.name == WORKSPACE:
        raise UserError(f"{path} does not match {LOCK}; run dvc checkout, dvc pull or dvc repro")
    if blobs([(revision.commit, path)]) != [b""]:
        raise UserError(f"{revision.name}: {path} does not match {LOCK}; {remedy(revision)}")
    raise UserError(f"{revision.name}: {path} is damaged in DVC's cache or remote")


def _missing(revision: Revision, path: Path, error: Exception) -> MissingOutputError:
    # Each kind of remote raises different errors.
    nowhere = isinstance(error, KeyError | FileNotFoundError | DataIndexDirError)
    reason = "neither here nor in the DVC remote" if nowhere else redact(first_line(error))
    remedy = "dvc repro"
    if revision.name != WORKSPACE:
        there = f"git switch --detach {revision.commit[:7]}"
        remedy = f"{there} && {remedy} && git switch - && dvc checkout"
    return MissingOutputError(f"{revision.name}: no {path} ({reason}); to make it: {remedy}")


@functools.cache
def _tree(revision: Revision) -> AbstractFileSystem:
    """Return the project's files."""
    if revision.name == WORKSPACE:
        return DVCFileSystem()
    # At a commit, DVC counts from Git's top folder.
    project = git("rev-parse", "--show-prefix").strip() or "/"
    return DirFileSystem(project, DVCFileSystem(rev=revision.commit, subrepos=True))


def md5_of(content: bytes) -> str:
    """Return the MD5 of a file's content, as DVC records it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def list_files(revision: Revision, output: str) -> list[Path]:
    """List the files in a stage's output, a file or folder. Raises MissingOutputError."""
    try:
        return [Path(name) for name in sorted(_tree(revision).find(output))]
    except Exception as error:
        raise _missing(revision, Path(output), error) from None


def read_models(revision: Revision) -> dict[str, bytes]:
    """Read the content of the revision's Keras models, by name. Raises UserError as `read` does."""
    models = lock(revision).models.items()
    return {name: read(revision, Path(path)) for name, path in models if path.endswith(".keras")}


def describe(revision: Revision) -> Description:
    """Read the description of the revision's data. Before labels had names, they were 0 to 9."""
    if str(paths.DATASET) not in lock(revision).outputs:
        return Description(name="mnist", labels=tuple("0123456789"))
    return data.describe(read(revision, paths.DATASET), f"{revision.name}: {paths.DATASET}")


def own_metrics(revision: Revision) -> dict[str, str]:
    """Read the metrics of a user's own stages, as in {"seeds.mean": "0.9784"}."""
    metrics: dict[str, Any] = {}
    others = {name: stage for name, stage in lock(revision).stages.items() if name != "evaluate"}
    for path in map(Path, Lock(stages=others).outputs):
        if path.parent == paths.METRICS and path.suffix == ".json":
            # A stage that dvc.yaml no longer has leaves its entry in dvc.lock, and no file.
            with suppress(MissingOutputError):
                metrics[path.stem] = formats.parse_json(read(revision, path), str(path))
    return {key: format_value(value) for key, value in sorted(flatten(metrics).items())}


def current_inputs(lock: Lock) -> dict[str, str]:
    """Return what lock.parameters and lock.sources would be if the workspace were run now."""
    groups = {key.partition(".")[0] for key in lock.parameters}
    values = flatten({name: group for name, group in params.read().items() if name in groups})
    now = {key: format_value(value) for key, value in values.items()}
    for name, md5 in lock.sources.items():
        path = Path(name)
        # Data that are not here count as unchanged, and so do folders outside, which may be large.
        outside = path.is_dir() and (path.is_absolute() or ".." in path.parts)
        kept = md5 if path.is_relative_to(paths.RAW) or outside else ""
        now[name] = md5_of_path(path) if path.exists() and not outside else kept
    return now


def md5_of_path(path: Path) -> str:
    """Return the MD5 of a file or folder, as DVC records it."""
    if path.is_file():
        return md5_of(path.read_bytes())
    listed = [
        {"md5": md5_of(file.read_bytes()), "relpath": file.relative_to(path).as_posix()}
        for file in sorted(path.rglob("*"))
        # As in .dvcignore.
        if file.is_file() and "__pycache__" not in file.parts
    ]
    return f"{md5_of(json.dumps(listed, sort_keys=True).encode())}.dir"


def diff(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the parameters and files whose values differ, with both; "none" if it has none."""
    pairs = {key: (old.get(key, "none"), new.get(key, "none")) for key in [*old, *new]}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def format_value(value: Any) -> str:
    """Format a parameter as in dvc.lock."""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def stale_inputs(revision: Revision) -> str:
    """Name what has changed in the workspace since its last run, comma-separated."""
    if revision.name != WORKSPACE:
        return ""
    run = lock(revision)
    return ", ".join(diff(run.parameters | run.sources, current_inputs(run)))


def blobs(files: Iterable[tuple[str, Path]]) -> list[bytes]:
    """Return the content of files that Git tracks at commits; b"" where there is none."""
    names = "".join(f"{commit}:./{path}\n" for commit, path in files)
    answers = io.BytesIO(git("cat-file", "--batch", stdin=names).encode(errors="surrogateescape"))
    contents = []
    # "<id> <kind> <size>", the content and a line feed; or "<name> missing".
    while head := answers.readline().split():
        content = b"" if head[-1] == b"missing" else answers.read(int(head[2]) + 1)[:-1]
        contents.append(content if head[1] == b"blob" else b"")
    return contents
