"""`make doctor`: check the pipeline's requirements, a line each; exit with 1 on a PROBLEM."""

import importlib.metadata
import io
import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from dvc.repo import Repo

from digits import data
from digits.plumbing import params, paths
from digits.plumbing.errors import UserError, first_line
from digits.plumbing.stage import PIPELINE, run_main
from digits.plumbing.terminal import redact, sanitize, wrap
from digits.portable import runtime
from revisions import files, runs
from revisions.files import git, refuse_conflicts
from stages import prepare
from tools import check_params

LOCK = Path("requirements.lock")
ACTIVATE = Path(".venv/bin/activate")


class Note(str):
    """A difference that does not stop the pipeline."""


def main() -> None:
    failed = False
    for name, check in CHECKS.items():
        try:
            text = check()
            verdict = "note" if isinstance(text, Note) else "ok"
        except Exception as error:
            verdict, text = "PROBLEM", str(error) or repr(error)
            failed = True
        lines = [f"{verdict:8}{name:9} {line.strip()}" for line in text.splitlines() if line]
        print(*map(sanitize, wrap(lines)), sep="\n")
    sys.exit(failed)


def _python() -> str:
    here = f"{platform.python_version()}, {platform.system()} on {platform.machine()}"
    if reason := runtime.unsupported_reason():
        return Note(f"{here}; {reason}, so results differ in the last digits")
    return here


def _packages() -> str:
    locked = dict(re.findall(r"^([^\s#=]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    different = []
    for package in importlib.metadata.distributions():
        expected = locked.get(re.sub("[-_.]+", "-", package.name).lower(), package.version)
        if package.version != expected:
            different.append(f"{package.name} {package.version} instead of {expected}")
    if different:
        problem = "results may not be identical bit for bit; rm -f .venv/.setup && make setup"
        return Note(f"{', '.join(different)}; {problem}")
    return f"as in {LOCK}"


def _shell() -> str:
    """Check that `dvc`, typed in the user's shell, finds this Python."""
    if ACTIVATE.exists() and str(ACTIVATE.resolve().parents[1]) not in ACTIVATE.read_text():
        return Note(f"the folder was moved, so {ACTIVATE} fails: make clean && make")
    python = shutil.which("python", path=os.environ.get("USER_PATH"))
    if not python or not Path(python).parent.samefile(Path(sys.executable).parent):
        return Note(f"python is {python}; before dvc, type: source {ACTIVATE}")
    if not str(Path.cwd()).isascii():
        return Note(f"{Path.cwd()} is not ASCII: dvc exp run --temp and dvc queue fail")
    return f"python is {python}"


def _git() -> str:
    refuse_conflicts()
    # DVC may have changed it in the second in which Git looked at it last.
    content = git("hash-object", "params.yaml").strip()
    known = content in git("ls-files", "--stage", "params.yaml")
    if not known and not git("status", "--porcelain", "params.yaml"):
        remedy = "touch params.yaml && git restore params.yaml"
        raise UserError(f"git status misses a change in params.yaml: {remedy}")
    try:
        git("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
    except UserError:
        remedy = 'git config --global user.name "Your Name"; the same for user.email'
        return Note(f"commits and experiments need your name and email: {remedy}")
    return "clone trusted; user.name and user.email set"


def _params() -> str:
    check_params.check(params.read())
    return str(paths.PARAMS)


def _data() -> str:
    path = paths.raw(params.load("prepare", prepare.Settings).dataset)
    try:
        raw = data.read_raw(path.stem)
    except UserError as error:
        here = ", ".join(sorted(file.stem for file in paths.RAW.glob("*.npz")))
        hint = "dvc pull" if Path(f"{path}.dvc").exists() else f"data/raw has {here}"
        raise UserError(f"{error}; {hint}") from None
    if warnings := "; ".join(data.data_warnings(raw)):
        return Note(f"{path}: {warnings}")
    return f"{path}: {len(raw.x_train):,} training images"


def _folders() -> str:
    with Repo() as repo:
        folders = (repo.cache.local.path, "data/prepared", "models", "metrics", ".dvc/tmp", ".")
    for folder in map(Path, folders):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            raise UserError(f"{existing} cannot be written")
    return "can be written"


def _pipeline() -> str:
    if not PIPELINE.is_file():
        raise UserError(f"{PIPELINE}: no such file; git restore {PIPELINE}")
    try:
        with Repo() as repo:
            changed = ", ".join(repo.status()) or "nothing"
    except Exception as error:
        # DVC raises many kinds: an invalid dvc.yaml, a damaged dvc.lock, a cache out of reach.
        raise UserError(f"{first_line(error)}; for more: dvc status") from None
    text = f"changed since the last run: {changed}"
    with suppress(UserError):
        if unrun := runs.unrun_parameters(files.find(files.WORKSPACE)):
            return Note(f"{text}; {unrun}")
    return text


def _remote() -> str:
    """Write and remove a small object."""
    try:
        with Repo() as repo:
            remote = repo.cloud.get_remote()
            fs, folder = remote.fs, remote.path
            if fs.protocol == "local" and not Path(folder).exists():
                raise FileNotFoundError(f"{folder} does not exist yet; make push creates it")
            probe = fs.join(folder, f"doctor-{os.getpid()}")
            fs.put_file(io.BytesIO(b"doctor"), probe, size=6)
            fs.remove(probe)
    except Exception as error:
        # Each file system and server raises different errors.
        text = redact(" ".join(str(error).split())) or f"cannot be written ({type(error).__name__})"
        return Note(f"{text}; docs/sharing.md; dvc repro works without it")
    return f"{remote.name} can be read and written"


CHECKS = {
    "Python": _python,
    "packages": _packages,
    "shell": _shell,
    "Git": _git,
    "params": _params,
    "data": _data,
    "folders": _folders,
    "pipeline": _pipeline,
    "remote": _remote,
}

if __name__ == "__main__":
    run_main(main)
