"""Whether everything that a stage has used is still the same when it ends.

DVC hashes parameters, code and data after a stage has run. Without this check, a stage that was
edited meanwhile would be recorded with an origin that it does not have.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from digits.errors import UserError

CODE = Path(__file__).parent

_used: dict[str, tuple[object, Callable[[], object]]] = {}
_code: dict[str, bytes] = {}


def start() -> None:
    """Take note of the code as it is now; `check` compares the modules imported by then."""
    _code.update((str(path), path.read_bytes()) for path in CODE.rglob("*.py"))


def use(name: str, value: object, read_again: Callable[[], object]) -> None:
    """Take note of a value that was read; `check` compares it with what `read_again` returns."""
    if _code:
        _used.setdefault(name, (value, read_again))


def use_file(path: Path, content: bytes) -> None:
    """Take note of the content that was read from `path`."""
    use(str(path), content, path.read_bytes)


def check() -> None:
    """Raise UserError if a value, a file or a module that was used has changed since."""
    changed = [name for name, (value, read_again) in _used.items() if _again(read_again) != value]
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    changed += [
        str(Path(path).relative_to(CODE.parent))
        for path, content in _code.items()
        if path in imported and _again(Path(path).read_bytes) != content
    ]
    if changed:
        names = ", ".join(changed)
        raise UserError(
            f"{names} changed while the stage ran, so nothing was written; run it again"
        )


def _again(read: Callable[[], object]) -> object:
    try:
        return read()
    except (OSError, UserError):
        return None
