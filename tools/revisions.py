"""What stands at a revision: a branch, tag, commit, experiment, or the workspace."""

import functools
import hashlib
import itertools
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.api import DVCFileSystem

from digits import files, params
from digits.errors import UserError

WORKSPACE = "workspace"
LOCK = Path("dvc.lock")


class Revision(NamedTuple):
    """A revision as it was asked for; of the workspace, the commit that it is based on."""

    name: str
    commit: str
    date: datetime


def find(name: str) -> Revision:
    """The revision of that name. Raises UserError if there is none, or several experiments."""
    if not name:
        raise UserError("a revision has no name: give a branch, tag, commit, experiment, workspace")
    wanted = "HEAD" if name == WORKSPACE else name
    # Through its input, since a name may look like an option.
    answer = git("cat-file", "--batch-check", stdin=f"{wanted}^{{commit}}")
    match = re.fullmatch(r"([0-9a-f]{40}) commit \d+\n", answer)
    commits = [match[1]] if match else [sha for sha, run in experiments() if run == name]
    if len(commits) != 1:
        reason = (
            "several experiments have" if commits else "no branch, tag, commit or experiment has"
        )
        raise UserError(f"{name!r}: {reason} that name")
    date = git("show", "--no-patch", "--format=%cI", commits[0]).strip()
    return Revision(name, commits[0], datetime.fromisoformat(date))


def experiments() -> list[tuple[str, str]]:
    """Commit and name of all experiments."""
    # refs/exps/12/34.../name, where 1234... is the commit that it was run on.
    listed = git("for-each-ref", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps/*/*/*")
    return [(line[:40], line[41:]) for line in listed.splitlines()]


def read(revision: Revision, path: Path) -> bytes:
    """A file that Git or DVC tracks, as it is at the revision; from the DVC remote if need be.

    Raises UserError if the revision has no such file, or if its content is nowhere.
    """
    workspace = revision.name == WORKSPACE
    tree = _tree(None if workspace else revision.commit)
    try:
        with tree.open(str(path), "rb", cache=True) as file:
            content: bytes = file.read()
            return content
    except FileNotFoundError:
        if not tree.exists(str(path)):
            raise UserError(
                f"{revision.name}: has no {path}; not run yet, or older than this pipeline"
            ) from None
        reason = "neither here nor in the DVC remote"
    except Exception as error:
        # Each kind of remote raises others.
        reason = files.first_line(error)
    switch = "" if workspace else f"git switch --detach {revision.commit[:7]} && "
    raise UserError(f"{revision.name}: no {path} ({reason}); to make it: {switch}dvc repro")


@functools.cache
def stages(revision: Revision) -> dict[str, Any]:
    """What dvc.lock says of each stage: what the files of the revision were made from."""
    found = parse_lock(read(revision, LOCK))
    if found is None:
        raise UserError(f"{revision.name}: {LOCK} does not list stages")
    return found


def parse_lock(content: bytes) -> dict[str, Any] | None:
    """The stages in the content of a dvc.lock; None if that is something else."""
    try:
        # Ten times faster than ruamel.yaml; there may be hundreds to read.
        found = yaml.CSafeLoader(content).get_single_data()["stages"]
    except (yaml.YAMLError, TypeError, KeyError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def parameters(stages: dict[str, Any]) -> dict[str, Any]:
    """The parameters that the stages were run with, as in {"train_hidden.units": 1000}."""
    values: dict[str, Any] = {}
    for stage in stages.values():
        for name, value in stage.get("params", {}).get(str(params.PATH), {}).items():
            if isinstance(value, dict):
                values |= {f"{name}.{key}": item for key, item in value.items()}
            else:
                values[name] = value
    return values


def modules(stages: dict[str, Any]) -> dict[str, str]:
    """The Python modules that the stages were run with: path and MD5."""
    files = itertools.chain.from_iterable(stage.get("deps", []) for stage in stages.values())
    return {file["path"]: file.get("md5", "") for file in files if file["path"].endswith(".py")}


def unlike_workspace(stages: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The parameters and modules that the workspace has otherwise; parameters with their values."""
    groups = params.read().model_dump()
    here = {f"{group}.{key}": value for group in groups for key, value in groups[group].items()}
    return (
        # As text, since PyYAML takes 1e-05 for text.
        {
            key: value
            for key, value in parameters(stages).items()
            if str(value) != str(here.get(key))
        },
        [path for path, md5 in modules(stages).items() if md5 != _md5(Path(path))],
    )


def _md5(path: Path) -> str:
    content = path.read_bytes() if path.is_file() else b""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def git(*arguments: str, stdin: str = "") -> str:
    """What a Git command prints. Raises UserError with what it says if it fails."""
    done = subprocess.run(
        ["git", *arguments],
        input=stdin.encode(errors="surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise UserError(reason or f"git {arguments[0]} failed")
    return done.stdout.decode(errors="surrogateescape")


@functools.cache
def _tree(commit: str | None) -> DVCFileSystem:
    """The files at a commit; None: those of the workspace."""
    return DVCFileSystem(rev=commit)
