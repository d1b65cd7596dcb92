"""Start and end a command; check what a stage used against dvc.yaml."""

import ast
import hashlib
import os
import re
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from digits.plumbing import files, loader, params
from digits.plumbing.errors import UserError
from digits.plumbing.terminal import sanitize

PIPELINE = Path("dvc.yaml")
PLUMBING = {Path("digits/plumbing"), Path("stages/__init__.py")}
# A stage returns the content of each file that it writes.
Outputs = dict[Path, bytes]


def run_main(main: Callable[[], None]) -> None:
    """Run `main`; turn an error that the user can fix into one line and status 1, Ctrl-C into 130.

    Any other exception is a bug and keeps its traceback.
    """
    try:
        main()
        print(end="", flush=True)
    except UserError as error:
        sys.exit("\n".join(map(sanitize, f"error: {error}".split("\n"))))
    except BrokenPipeError:
        # A reader of the output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def run_stage(main: Callable[[], Outputs]) -> None:
    """Run a stage: `main` returns the content of each output, which is written at the end.

    Until then, Ctrl-C ends the process at once.
    """

    def run() -> None:
        # As an exception, Ctrl-C would pass through TensorFlow's native code, which sometimes loses
        # it or crashes.
        handler = signal.getsignal(signal.SIGINT)
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        outputs = main()
        signal.signal(signal.SIGINT, handler)
        # DVC hashes code, parameters and data after a stage has run, and only those that dvc.yaml
        # names. dvc.lock is true only if all that was used is named, and has not changed.
        changed = [*params.changed(), *files.changed(files.inputs | _modules())]
        if changed:
            why = "changed during the run, so nothing was written; run it again"
            raise UserError(f"{', '.join(changed)} {why}")
        check_declared(outputs)
        files.write_all(outputs)

    run_main(run)


def check_declared(outputs: Iterable[Path]) -> None:
    """Raise UserError if dvc.yaml lacks an output, or an input that this stage has used so far.

    The message has each line to add. A stage not in dvc.yaml is not checked.
    """
    name = getattr(sys.modules["__main__"].__spec__, "name", "").removeprefix("stages.")
    try:
        stage = yaml.safe_load(PIPELINE.read_text("utf-8"))["stages"].get(name)
    except (AttributeError, KeyError, TypeError, yaml.YAMLError):
        hint = "no stages in it; nothing was written; for more: dvc status"
        raise UserError(f"{PIPELINE}: {hint}") from None
    if stage is None:
        return
    missing = []
    for sections, used in (
        (("deps",), [*files.inputs, *_modules()]),
        (("params",), map(Path, params.loaded)),
        (("outs", "metrics", "plots"), outputs),
    ):
        entries = [entry for section in sections for entry in stage.get(section) or []]
        # An entry with options is a dictionary of its name.
        names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
        patterns = [re.sub(r"\$\{(.*?)\}", _parameter, name) for name in names]
        missing += [
            f"add `- {path}` to {' or '.join(sections)}"
            for path in sorted(used)
            # A folder may be named instead.
            if not any(fnmatchcase(str(a), b) for a in (path, *path.parents) for b in patterns)
        ]
    if missing:
        raise UserError(f"{PIPELINE}, stage {name}: {'; '.join(missing)}; nothing was written")


def fingerprint() -> str:
    """Return a hash of the data, parameters and code that were read so far, and the packages."""
    packages = sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    read = [files.inputs, params.loaded, sorted(_modules().items()), packages]
    return hashlib.sha256(repr(read).encode()).hexdigest()[:16]


def counts(module: Path, source: bytes) -> bool:
    """Return whether a module can change a result: not if it is plumbing, or only a docstring."""
    code = ast.parse(source)
    only_docstring = len(code.body) == (ast.get_docstring(code) is not None)
    return not PLUMBING & {module, *module.parents} and not only_docstring


def _modules() -> dict[Path, bytes]:
    """Return the modules that can change a result, with the SHA-256 of what Python compiled."""
    return {
        path: hashlib.sha256(source).digest()
        for path, source in loader.compiled.items()
        if counts(path, source)
    }


def _parameter(reference: re.Match[str]) -> str:
    """Return the value that DVC puts in place of a ${reference} in dvc.yaml."""
    value: Any = params.read()
    for key in reference[1].strip().split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return "*" if value is None else str(value)
