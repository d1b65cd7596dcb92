"""Read and write whole files, and remember which were read."""

import errno
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from digits.plumbing.errors import UserError

# The files that this process has read, with their hashes.
inputs: dict[Path, bytes] = {}


def read(path: Path) -> bytes:
    """Return the content of a file. Raises UserError if there is no such file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    content = path.read_bytes()
    inputs.setdefault(path, hashlib.sha256(content).digest())
    return content


def changed(hashes: Mapping[Path, bytes]) -> list[str]:
    """Return the files whose content no longer has the given SHA-256."""
    return [str(path) for path, old in hashes.items() if not path.is_file() or _hash(path) != old]


def _hash(path: Path) -> bytes:
    # Memory may be full of images, so the file is hashed a part at a time.
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
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
        for path, part in temporary.items():
            part.replace(path)
    finally:
        for part in temporary.values():
            with suppress(OSError):
                part.unlink()
