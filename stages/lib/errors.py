"""The one exception whose message is meant for people, and how a stage ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

# From <sys/prctl.h>: the signal a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


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
    """From now on, end this process with a line and status 130 at Ctrl-C; and together with DVC.

    A stage that outlived a killed DVC would write its files while the next run writes them, too.
    """
    # Kept for the line, since runtime.start() sends standard error elsewhere for a while.
    terminal = os.dup(2)

    def end(number: int, _frame: object) -> None:
        # An exception could be swallowed: Keras has bare excepts, and none leaves a destructor.
        os.write(terminal, b"interrupted\n")
        os._exit(128 + number)

    # Ignored where a script started this in the background: Ctrl-C is meant for another.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
