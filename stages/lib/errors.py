"""The one exception whose message is meant for people, and how a stage ends."""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """A mistake the user can mend: the message names the file or key, what is wrong, what to do."""


def report(main: Callable[[], None]) -> None:
    """Run `main`; turn what a user can mend into a line on standard error and an exit status.

    Status 1 after a `UserError` or an operating-system error (a full disk, a read-only folder),
    130 after Ctrl-C. Anything else is a defect of the program and keeps its traceback.
    """
    end_quietly_when_told_to()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror or error}")


def end_quietly_when_told_to() -> None:
    """From now on, end this process with a line and status 130 at Ctrl-C."""
    # Kept for the line, since runtime.start() sends standard error elsewhere for a while.
    terminal = os.dup(2)

    def end(number: int, _frame: object) -> None:
        # An exception could be swallowed: Keras has bare excepts, and none leaves a destructor.
        os.write(terminal, b"interrupted\n")
        os._exit(128 + number)

    # Ignored where a script started this in the background: Ctrl-C is meant for another.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)


def end_with_dvc() -> None:
    """From now on, end this process when the DVC that started it does, if one did.

    A stage that outlived a killed DVC would write its files while the next run writes them, too.
    """
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        threading.Thread(target=_end_with, args=(_dvc(),), daemon=True).start()


def _dvc() -> int:
    """The process that started this stage: its parent, or the parent of a shell in between."""
    parent = Path(f"/proc/{os.getppid()}")
    if b"\0-c\0" in (parent / "cmdline").read_bytes():
        return int((parent / "stat").read_text().rpartition(")")[2].split()[1])
    return os.getppid()


def _end_with(process: int) -> None:
    """Wait until `process` ends, and then end this one at once."""
    ending = select.poll()
    try:
        ending.register(os.pidfd_open(process), select.POLLIN)
    except OSError:
        # A kernel before 5.3: nothing to wait for.
        return
    ending.poll()
    os.kill(os.getpid(), signal.SIGKILL)
