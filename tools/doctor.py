"""`make doctor`: what the pipeline needs, a line each, and what to do about what is missing.

Exit status 1 if `dvc repro` would stop. Nothing is imported before it is needed, so that an
incomplete environment is a finding and not a crash.
"""

import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

LOCK = Path("requirements.lock")
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
AGAIN = "rm -f .venv/.setup && make setup"
PATIENCE_SECONDS = 20
# What the pipeline writes on MNIST, twice over: into the folders and into DVC's cache.
NEEDED_BYTES = 100_000_000

GOOD, NOTE, PROBLEM = "ok", "note", "PROBLEM"
Finding = tuple[str, str]


def main() -> None:
    if sys.argv[1:] == ["remote"]:
        print(_try_remote())
        return
    findings = [
        ("Python", _python()),
        ("packages", _packages()),
        ("MNIST", _mnist()),
        ("remote", _remote()),
        ("disk", _disk()),
    ]
    for name, (verdict, text) in findings:
        print(f"{verdict:8}{name:9} {text}")
    sys.exit(any(verdict == PROBLEM for _, (verdict, _) in findings))


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 14):
        return GOOD, version
    return PROBLEM, f"{version}; 3.11, 3.12 or 3.13 is needed: make clean && make PYTHON=python3.12"


def _packages() -> Finding:
    """What is installed, against the lock."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return PROBLEM, f"not installed: {AGAIN}"
    count, missing, other = 0, [], []
    locked = re.findall(r"^([^\s#].*?) \\$", LOCK.read_text(), re.MULTILINE)
    for requirement in map(Requirement, locked):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        count += 1
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            other.append(f"{requirement.name} {version} instead of {requirement.specifier}")
    if missing:
        return PROBLEM, f"missing: {_some(missing)}; {AGAIN}"
    if other:
        return NOTE, f"{_some(other)}; the bits may differ; {AGAIN}"
    return GOOD, f"all {count} as in {LOCK}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _mnist() -> Finding:
    try:
        from stages.lib import datasets, params
        from stages.lib.errors import UserError
    except ImportError as error:
        return PROBLEM, f"cannot be checked without the package {error.name}: {AGAIN}"
    try:
        dataset = params.load().prepare.dataset
    except UserError as error:
        return PROBLEM, str(error).splitlines()[0]
    if dataset != "mnist":
        return GOOD, f"not needed: params.yaml asks for {dataset}"
    if found := datasets.mnist_at_hand():
        return GOOD, f"{found}"
    if shutil.which("dvc") and _succeeds("dvc", "status", "--quiet", "prepare"):
        return GOOD, "not needed: data/prepared/ is up to date"
    try:
        request = urllib.request.Request(MNIST_URL, method="HEAD")
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()  # noqa: S310
    except OSError as error:
        reason = getattr(error, "reason", error)
        return PROBLEM, (
            f"out of reach ({reason}): put mnist.npz into data/raw/, or run on the shipped digits: "
            "make, or dvc exp run -S prepare.dataset=uci_digits"
        )
    return GOOD, "will be downloaded"


def _remote() -> Finding:
    """A process of its own tries it, because a server that hangs would hang us."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tools.doctor", "remote"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NOTE, f"no answer within {PATIENCE_SECONDS} s; dvc repro works without it"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    text = lines[-1] if lines else "no answer"
    return (GOOD, text) if done.returncode == 0 else (NOTE, f"{text}; dvc repro works without it")


def _try_remote() -> str:
    """Write, read and remove a small object. Exits with a line if something forbids it."""
    try:
        from dvc.repo import Repo
    except ImportError as error:
        sys.exit(f"cannot be tried without the package {error.name}: {AGAIN}")
    url = ""
    try:
        with Repo() as repo:
            remote = repo.cloud.get_remote()
            url = repo.config["remote"][remote.name]["url"]
            fs, folder = remote.fs, remote.path
            if fs.protocol == "local" and not Path(folder).exists():
                sys.exit(f"{url} is not there, so there is nothing to pull; make push makes it")
            probe = fs.join(folder, f"doctor-{os.getpid()}")
            fs.put_file(io.BytesIO(b"doctor"), probe, size=6)
            fs.remove(probe)
    except Exception as error:
        # Whatever a file system or a server comes up with.
        name = type(error).__name__
        hint = "make setup-remotes" if name == "RemoteMissingDepsError" else _hint(url)
        sys.exit(f"{url}: {' '.join(str(error).split()) or name}; {hint}")
    return f"{url} can be read and written"


def _hint(url: str) -> str:
    if url.startswith(("s3:", "ssh:")):
        return "see Troubleshooting in README.md"
    return "make it writable, or name another: dvc remote modify --local storage url FOLDER"


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    text = f"{free / 1e9:.1f} GB free"
    if free < NEEDED_BYTES:
        return PROBLEM, f"{text}, {NEEDED_BYTES / 1e9} GB are needed: make room, or dvc gc -w"
    return GOOD, text


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
