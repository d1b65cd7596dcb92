"""Reading and writing files whole. Plumbing: nothing here changes an output."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from digits.errors import UserError

# The files that this process has read, with their hashes.
inputs: dict[Path, bytes] = {}


def read(path: Path) -> bytes:
    """The content of a file. Raises UserError if there is no such file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    content = path.read_bytes()
    inputs.setdefault(path, hashlib.sha256(content).digest())
    return content


def changed() -> list[str]:
    """The files among `inputs` whose content has changed since it was read."""
    return [
        str(path) for path, found in inputs.items() if not path.is_file() or _hash(path) != found
    ]


def _hash(path: Path) -> bytes:
    # A part at a time, since memory may be full of images.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def write(path: Path, content: bytes) -> None:
    """Write a file; see `write_all`."""
    write_all({path: content})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write files under temporary names, then rename them, so that none is ever half-written.

    Folders are made as needed. Raises OSError, with the file's name, if a file cannot be written;
    then no file has changed.
    """
    temporary = {path: path.with_name(f".{path.name}.part") for path in contents}
    try:
        for path, part in temporary.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(contents[path])
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
        for path, part in temporary.items():
            part.replace(path)
    finally:
        for part in temporary.values():
            with suppress(OSError):
                part.unlink()
