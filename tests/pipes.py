"""Named pipes in place of files: they hold a process at the point where it reads one."""

import os
import subprocess
import time
from pathlib import Path
from typing import BinaryIO


def put_pipe(path: Path) -> None:
    """Replace a file, which need not be there, by a named pipe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)
    pipe.replace(path)


def wait_for_reader(pipe: Path, process: subprocess.Popen[str]) -> BinaryIO:
    """Wait until `process`, or one that it started, opens the pipe.

    The reader waits until it has got content and the file that this returns is closed.
    """
    while process.poll() is None:
        try:
            return os.fdopen(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "wb")
        except OSError:
            # Nobody reads it yet.
            time.sleep(0.005)
    raise AssertionError(f"nobody read {pipe}: {process.communicate()}")
