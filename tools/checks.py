"""The findings of `make doctor`: verdict, name and text of each."""

import importlib.metadata
import io
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dvc.repo import Repo

from digits import data, params, paths, runtime
from digits.errors import UserError, first_line
from digits.text import redact
from tools import settings
from tools.history import git

LOCK = Path("requirements.lock")
ACTIVATE = Path(".venv/bin/activate")
FOLDERS = ("data/prepared", "models", "metrics", ".dvc/tmp", ".")
TIMEOUT_SECONDS = 20

OK, NOTE, PROBLEM = "ok", "note", "PROBLEM"
Finding = tuple[str, str, str]


def findings() -> Iterator[Finding]:
    """All findings, each after those that it depends on."""
    yield _python()
    yield _packages()
    yield _shell()
    try:
        yield _git()
    except (OSError, UserError) as error:
        yield PROBLEM, "Git", " ".join(str(error).split())
    yield from _params()
    try:
        with Repo() as repo:
            yield _folders(repo)
            changed = ", ".join(repo.status()) or "nothing"
            yield OK, "pipeline", f"changed since the last run: {changed}"
            yield _remote(repo)
    except Exception as error:
        # DVC raises many kinds: an invalid dvc.yaml, a damaged dvc.lock, a cache out of reach.
        yield PROBLEM, "pipeline", f"{first_line(error)}; for more: dvc status"


def _python() -> Finding:
    here = f"{platform.python_version()}, {platform.system()} on {platform.machine()}"
    if reason := runtime.unsupported_reason():
        return NOTE, "Python", f"{here}; {reason}, so the last digits of results differ"
    return OK, "Python", here


def _packages() -> Finding:
    locked = dict(re.findall(r"^([^\s#=]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    other = []
    for package in importlib.metadata.distributions():
        expected = locked.get(re.sub("[-_.]+", "-", package.name).lower(), package.version)
        if package.version != expected:
            other.append(f"{package.name} {package.version} instead of {expected}")
    if other:
        text = f"{', '.join(other)}; the bits may differ; rm -f .venv/.setup && make setup"
        return NOTE, "packages", text
    return OK, "packages", f"as in {LOCK}"


def _shell() -> Finding:
    """Whether `dvc`, typed in the user's shell, finds this Python."""
    if ACTIVATE.exists() and str(ACTIVATE.resolve().parents[1]) not in ACTIVATE.read_text():
        return NOTE, "shell", f"the folder was moved, so {ACTIVATE} fails: make clean && make"
    python = shutil.which("python")
    if not python or not Path(python).parent.samefile(Path(sys.executable).parent):
        return NOTE, "shell", f"python is {python}; before dvc, type: source {ACTIVATE}"
    if not str(Path.cwd()).isascii():
        return NOTE, "shell", f"{Path.cwd()} is not ASCII: dvc exp run --temp and dvc queue fail"
    return OK, "shell", f"python is {python}"


def _git() -> Finding:
    # Mode, hash and stage, then the path.
    unmerged = {line.split("\t")[1] for line in git("ls-files", "--unmerged").splitlines()}
    if unmerged:
        names = ", ".join(sorted(unmerged))
        return PROBLEM, "Git", f"merge conflict in {names}: docs/troubleshooting.md"
    # DVC may have changed it in the second in which Git looked at it last.
    content = git("hash-object", "params.yaml").strip()
    if content not in git("ls-files", "--stage", "params.yaml") and not git("diff", "params.yaml"):
        remedy = "touch params.yaml && git restore params.yaml"
        return PROBLEM, "Git", f"params.yaml has changed, and Git has not noticed: {remedy}"
    for key in ("name", "email"):
        known = os.environ.get(f"GIT_COMMITTER_{key.upper()}")
        if not known and not git("config", "--default", "", f"user.{key}").strip():
            remedy = f'git config --global user.{key} "Your {key}"'
            return NOTE, "Git", f"commits and experiments need your {key}: {remedy}"
    return OK, "Git", "trusts this clone, and knows who commits"


def _params() -> Iterator[Finding]:
    """Every problem in params.yaml and in the data set that it names."""
    try:
        values = params.read()
        settings.check(values)
    except UserError as error:
        for line in str(error).splitlines():
            yield PROBLEM, "params", line
        return
    yield OK, "params", str(paths.PARAMS)
    path = paths.raw(values["prepare"]["dataset"])
    try:
        raw = data.read_raw(path.stem)
    except UserError as error:
        here = ", ".join(sorted(file.stem for file in paths.RAW.glob("*.npz")))
        hint = "dvc pull" if Path(f"{path}.dvc").exists() else f"data/raw has {here}"
        yield PROBLEM, "data", f"{error}; {hint}"
    else:
        yield OK, "data", f"{path}: {len(raw.x_train):,} training images"
        yield from ((NOTE, "data", f"{path}: {doubt}") for doubt in data.doubts(raw))


def _folders(repo: Repo) -> Finding:
    for folder in map(Path, (repo.cache.local.path, *FOLDERS)):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            return PROBLEM, "folders", f"{existing} cannot be written ({error.strerror})"
    return OK, "folders", "can be written"


def _remote(repo: Repo) -> Finding:
    """Write, read and remove a small object."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"no answer within {TIMEOUT_SECONDS} s")

    name, hint = "remote", "docs/sharing.md"
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TIMEOUT_SECONDS)
    try:
        remote = repo.cloud.get_remote()
        name, fs, folder = remote.name, remote.fs, remote.path
        if fs.protocol == "local" and not Path(folder).exists():
            hint = "make push creates it"
            raise FileNotFoundError(f"{folder} does not exist yet")
        probe = fs.join(folder, f"doctor-{os.getpid()}")
        fs.put_file(io.BytesIO(b"doctor"), probe, size=6)
        fs.remove(probe)
    except Exception as error:
        # Each file system and server raises other kinds.
        text = redact(" ".join(str(error).split())) or f"cannot be written ({type(error).__name__})"
        return NOTE, "remote", f"{name}: {text}; {hint}; dvc repro works without it"
    finally:
        signal.alarm(0)
    return OK, "remote", f"{name} can be read and written"
