"""The one exception whose message is meant for people, and how a stage reports it."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake the user can mend: the message names the file or key, what is wrong, what to do."""


def report(main: Callable[[], None]) -> None:
    """Run `main`; turn what a user can mend into a line on standard error and an exit status.

    Status 1 after a `UserError` or an operating-system error (a full disk, a read-only folder),
    130 after Ctrl-C. Anything else is a defect of the program and keeps its traceback.
    """
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
