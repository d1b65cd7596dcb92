"""What a worker does. It is sent there as it is, so it uses nothing else of this project."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from distributed import Event, Worker, WorkerPlugin, get_worker

POLL_SECONDS = 1
LINES_OF_ERROR = 5


class IgnoreInterrupt(WorkerPlugin):
    """Leaves Ctrl-C to the head."""

    def setup(self, worker: Worker) -> None:
        """Called in the worker's main thread when it starts."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def experiment(
    name: str,
    overrides: tuple[str, ...],
    git_url: str,
    commit: str,
    dvc_remote: str,
    dvc_url: str,
    stop: str,
) -> float:
    """Run one experiment in this worker's clone and push its result; returns the seconds it took.

    Ends early once the cluster's event `stop` is set. Raises RuntimeError with the last lines of
    what a failed command printed.
    """
    started = time.perf_counter()
    stopped = Event(stop).is_set
    clone = Path(get_worker().local_directory) / f"clone-{threading.get_ident()}"
    if clone.exists():
        run(clone, stopped, "git", "fetch", "--quiet", "origin")
    else:
        run(clone.parent, stopped, "git", "clone", "--quiet", git_url, str(clone))
    run(clone, stopped, "git", "checkout", "--quiet", "--force", "--detach", commit)
    # A folder that .dvc/config names by its place beside the clone lies elsewhere from here.
    local = f'[\'remote "{dvc_remote}"\']\n    url = "{dvc_url}"\n'
    (clone / ".dvc/config.local").write_text(local)
    settings = [part for override in overrides for part in ("-S", override)]
    run(clone, stopped, *dvc("exp", "run", "--pull", "--name", name, *settings))
    # The data first: who finds the experiment in Git finds its data, too.
    run(clone, stopped, sys.executable, "-m", "tools.push")
    run(clone, stopped, *dvc("exp", "push", "--no-cache", "--force", "origin", name))
    return time.perf_counter() - started


def dvc(*arguments: str) -> tuple[str, ...]:
    """A DVC command of this worker's own environment."""
    return (sys.executable, "-m", "dvc", *arguments)


def run(folder: Path, stopped: Callable[[], bool], *command: str) -> None:
    """Run a command whose `python` is this worker's; end it, and what it started, once `stopped`.

    Raises RuntimeError unless it exits with status 0.
    """
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
        while (status := process.poll()) is None:
            if stopped():
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
        if status:
            log.seek(0)
            lines = [line for line in log.read().splitlines() if line.strip()]
            raise RuntimeError("\n".join(lines[-LINES_OF_ERROR:]))
