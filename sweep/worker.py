"""Run an experiment on a worker. The code is sent by value, so it imports nothing from here."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from distributed import Event, get_worker


def experiment(
    name: str, overrides: list[str], url: str, commit: str, folder: str, stop: Event
) -> None:
    """Run an experiment in `folder` of this worker's clone and push its result, as `run` does."""
    clone = Path(get_worker().local_directory) / f"clone-{threading.get_ident()}"
    if not clone.exists():
        run(("git", "clone", "--quiet", url, str(clone)), clone.parent, stop)
    python = (sys.executable, "-m")
    settings = [f"--set-param={override}" for override in overrides]
    for command in (
        # The previous sweep may have had a different repository.
        ("git", "remote", "set-url", "origin", url),
        ("git", "fetch", "--quiet", "origin"),
        ("git", "checkout", "--quiet", "--force", "--detach", commit),
        (*python, "dvc", "exp", "run", "--pull", "--name", name, *settings),
        # The data first: an experiment that Git lists has all its files in the DVC remote.
        (*python, "tools.push"),
        (*python, "dvc", "exp", "push", "--no-cache", "--force", "origin", name),
    ):
        run(command, clone if command[0] == "git" else clone / folder, stop)


def run(command: tuple[str, ...], folder: Path, stop: Event) -> None:
    """Run a command; when `stop` is set, terminate its process group.

    Raises RuntimeError with the last lines that it printed unless it exits with status 0.
    """
    # The stages call `python`, which has to be this worker's.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        while process.poll() is None:
            if stop.is_set():
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
        log.seek(0)
        lines = [line for line in log.read().splitlines() if line.strip()]
    if process.returncode:
        raise RuntimeError("\n".join(lines[-5:]))
