"""How a command starts and ends. Nothing here can change what a stage writes."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from digits import files, origin
from digits.errors import UserError


def run_main(main: Callable[[], None]) -> None:
    """Run `main`; turn an error that the user can fix into one line and an exit status.

    The status is 1 after a UserError or an error of the operating system, such as a full disk, and
    130 after Ctrl-C. Any other exception is a bug and keeps its traceback.
    """
    if sys.stderr is None:
        # Closed by the caller. Without this, the next file to be opened would take its place.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def run_stage(main: Callable[[], Mapping[Path, bytes]]) -> None:
    """Run a stage: `main` returns the content of each output, which is written at the end.

    Nothing is written if something that the stage has used changed while it ran.
    """

    def run() -> None:
        origin.start()
        outputs = main()
        origin.check()
        files.write_all(outputs)

    run_main(run)
