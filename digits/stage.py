"""How a command starts and ends. Plumbing: nothing here decides what a stage writes.

DVC hashes code, parameters and data after a stage has run, and hashes only what dvc.yaml names. So
that dvc.lock never tells a lie, a stage asks at its end whether all that it used is still there and
is named in dvc.yaml; otherwise it writes nothing.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from digits import files, params
from digits.errors import UserError

ROOT = Path(__file__).parents[1]
PIPELINE = Path("dvc.yaml")
# Modules that cannot change what a stage writes, so that no stage depends on them.
PLUMBING = {
    "digits/__init__.py",
    "digits/environment.py",
    "digits/errors.py",
    "digits/files.py",
    "digits/params.py",
    "digits/paths.py",
    "digits/stage.py",
    "digits/text.py",
    "stages/__init__.py",
}


# What a stage returns: the content of each file that it writes.
Outputs = dict[Path, bytes]


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
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def run_stage(main: Callable[[], Outputs]) -> None:
    """Run a stage: `main` returns the content of each output, which is written at the end."""

    def run() -> None:
        outputs = main()
        changed = [*params.changed(), *files.changed(), *_changed_modules()]
        if changed:
            names = ", ".join(changed)
            raise UserError(f"{names} changed during the run, so nothing was written; run it again")
        name = sys.modules["__main__"].__spec__.name.removeprefix("stages.")  # type: ignore[union-attr]
        stages = yaml.safe_load(PIPELINE.read_text("utf-8"))["stages"]
        # A stage that is not in dvc.yaml can be tried out by hand.
        if name in stages:
            missing = "; ".join(undeclared(stages[name], outputs))
            if missing:
                raise UserError(f"{PIPELINE}, stage {name}: {missing}; nothing was written")
        files.write_all(outputs)

    run_main(run)


def undeclared(stage: Mapping[str, Any], outputs: Iterable[Path]) -> Iterator[str]:
    """The lines that a stage lacks in dvc.yaml for the modules, files and parameters it used."""
    code = [Path(module) for module in _modules() if module not in PLUMBING]
    for sections, used in (
        (("deps",), [*files.inputs(), *code]),
        (("params",), map(Path, params.groups())),
        (("outs", "metrics", "plots"), outputs),
    ):
        entries = [entry for section in sections for entry in stage.get(section) or []]
        # Some have options, in a dictionary of the name.
        names = [
            name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)
        ]
        for path in sorted(used):
            if not _is_declared(path, names):
                yield f"add `- {path}` to {' or '.join(sections)}"


def _is_declared(path: Path, names: Iterable[str]) -> bool:
    """Whether it or a folder that it is in is among the names in dvc.yaml."""
    patterns = [re.sub(r"\$\{.*?\}", "*", name) for name in names]
    return any(
        fnmatchcase(str(found), pattern) for found in (path, *path.parents) for pattern in patterns
    )


def _modules() -> dict[str, Path]:
    """The modules of this project that are imported: their paths as in dvc.yaml, and in full."""
    found = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = [Path(file) for file in found if file and Path(file).is_relative_to(ROOT)]
    return {
        path.relative_to(ROOT).as_posix(): path
        for path in paths
        if "site-packages" not in path.parts
    }


def _changed_modules() -> list[str]:
    """The imported modules that were changed since the stage began to import them.

    A change that was undone counts: Python may have read it.
    """
    started: int = sys.modules["stages"].STARTED
    return [
        name
        for name, path in _modules().items()
        if not path.is_file() or path.stat().st_ctime_ns > started
    ]
