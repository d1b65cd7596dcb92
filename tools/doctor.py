"""`make doctor`: what the pipeline needs, a line each, and what to do about what is missing.

Exit status 1 if `dvc repro` would stop. Nothing is imported before it is known to be installed, so
that an incomplete environment is a finding and not a crash.
"""

import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

LOCK = Path("requirements.lock")
PROJECT = Path("pyproject.toml")
INSTALL = "rm -f .venv/.setup && make setup"
FOLDERS = ("data/prepared", "models", "metrics", ".dvc/cache", ".dvc/tmp", ".")
TIMEOUT_SECONDS = 20
# What the pipeline writes for MNIST, twice: into the folders and into DVC's cache.
NEEDED_BYTES = 100_000_000
COLUMNS = 100

OK, NOTE, PROBLEM = "ok", "note", "PROBLEM"
Finding = tuple[str, str, str]


def main() -> None:
    if sys.argv[1:] == ["remote"]:
        print(_try_remote())
        return
    problems = False
    for verdict, name, text in findings():
        problems |= verdict == PROBLEM
        label = f"{verdict:8}{name:9} "
        indent = " " * len(label)
        print(textwrap.fill(text, COLUMNS, initial_indent=label, subsequent_indent=indent))
    sys.exit(problems)


def findings() -> Iterator[Finding]:
    """Verdict, name and text of each; those that need packages only where they are installed."""
    for check in (_python, _packages):
        finding = check()
        yield finding
        if finding[0] == PROBLEM:
            return
    try:
        yield from _params()
    except ImportError as error:
        # A package that another one needs.
        yield PROBLEM, "imports", f"missing: {error.name}; {INSTALL}"
        return
    yield _folders()
    yield _disk()
    yield _pipeline()
    yield _remote()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 14):
        return OK, "Python", version
    needed = "3.11, 3.12 or 3.13 is needed: make clean && make PYTHON=python3.12"
    return PROBLEM, "Python", f"{version}; {needed}"


def _packages() -> Finding:
    """What pyproject.toml asks for, and whether all that is installed is as locked."""
    import tomllib

    dependencies = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    wanted = re.findall(r"^[\w.-]+", "\n".join(dependencies), re.MULTILINE)
    distributions = importlib.metadata.distributions()
    installed = {_canonical(package.name): package.version for package in distributions}
    missing = [name for name in wanted if _canonical(name) not in installed]
    if missing and not Path(".venv").exists():
        return PROBLEM, "packages", "not installed: run make"
    if missing:
        return PROBLEM, "packages", f"missing: {_some(missing)}; {INSTALL}"
    if not LOCK.is_file():
        return NOTE, "packages", f"{LOCK} is missing, so versions cannot be compared"
    locked = dict(re.findall(r"^([^\s#=]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    other = [
        f"{name} {version} instead of {locked[name]}"
        for name, version in installed.items()
        if locked.get(name, version) != version
    ]
    if other:
        return NOTE, "packages", f"{_some(other)}; the bits may differ; {INSTALL}"
    return OK, "packages", f"as in {LOCK}"


def _canonical(name: str) -> str:
    """The spelling of a package's name in the lock."""
    return re.sub("[-_.]+", "-", name).lower()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _params() -> Iterator[Finding]:
    """Every problem in params.yaml, and what is wrong with the data set it names."""
    from digits import datasets, params, paths
    from digits.errors import UserError

    try:
        settings = params.read()
    except (UserError, OSError) as error:
        for line in str(error).splitlines():
            yield PROBLEM, "params", line
        return
    yield OK, "params", str(params.PATH)
    name = settings.prepare.dataset
    try:
        digits = datasets.read(name)
    except (UserError, OSError) as error:
        hint = f"; dvc pull, or: make dataset NAME={name}" if not paths.raw(name).exists() else ""
        yield PROBLEM, "data", f"{error}{hint}"
        return
    n = len(digits.x_train)
    if settings.prepare.validation_size >= n:
        yield PROBLEM, "data", f"prepare.validation_size leaves none of {n} training images"
    else:
        yield OK, "data", f"{paths.raw(name)}: {n:,} training images"


def _folders() -> Finding:
    for folder in map(Path, FOLDERS):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            return PROBLEM, "folders", f"{existing} cannot be written ({error.strerror})"
    return OK, "folders", "can be written"


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    text = f"{free / 1e9:.1f} GB free"
    if free < NEEDED_BYTES:
        needed = f"{NEEDED_BYTES / 1e9} GB are needed: free some, or dvc gc -w"
        return PROBLEM, "disk", f"{text}, {needed}"
    return OK, "disk", text


def _pipeline() -> Finding:
    """Whether DVC itself can work here."""
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["dvc status failed"]
        # Of an invalid dvc.yaml, DVC says so in the first line, and shows the place after it.
        line = next((line for line in lines if line.startswith("ERROR: ")), lines[0])
        return PROBLEM, "pipeline", line.removeprefix("ERROR: ")
    changed = json.loads(done.stdout)
    return OK, "pipeline", f"changed since the last run: {', '.join(changed) or 'nothing'}"


def _remote() -> Finding:
    """A process of its own tries it, since a server that hangs would hang this one."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tools.doctor", "remote"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        text = f"no answer within {TIMEOUT_SECONDS} s"
        return NOTE, "remote", f"{text}; dvc repro works without it"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    text = lines[-1] if lines else "no answer"
    if done.returncode:
        return NOTE, "remote", f"{text}; dvc repro works without it"
    return OK, "remote", text


def _try_remote() -> str:
    """Write, read and remove a small object. Exits with a line if that is not possible."""
    from dvc.repo import Repo

    from tools.secrets import redact

    name = "remote"
    try:
        with Repo() as repo:
            remote = repo.cloud.get_remote()
            name = remote.name
            fs, folder = remote.fs, remote.path
            if fs.protocol == "local" and not Path(folder).exists():
                sys.exit(f"{name}: {folder} does not exist yet; make push creates it")
            probe = fs.join(folder, f"doctor-{os.getpid()}")
            fs.put_file(io.BytesIO(b"doctor"), probe, size=6)
            fs.remove(probe)
    except Exception as error:
        # Whatever a file system or a server raises.
        kind = type(error).__name__
        hint = "see docs/sharing.md"
        if kind == "RemoteMissingDepsError":
            hint = 'make setup EXTRAS="s3 ssh"'
        sys.exit(f"{name}: {redact(' '.join(str(error).split())) or kind}; {hint}")
    return f"{name} can be read and written"


if __name__ == "__main__":
    main()
