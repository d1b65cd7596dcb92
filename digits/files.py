"""Byte-stable content of arrays, JSON and CSV, and reading and writing files whole."""

import csv
import errno
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from digits import origin
from digits.errors import UserError

# Six significant digits: more than any comparison needs, fewer than processors disagree about.
SIGNIFICANT_DIGITS = 6

# An .npz file that unpacks to more is refused: 20 times MNIST as it is prepared.
LARGEST_UNPACKED_BYTES = 4 * 2**30
# Bytes in an entry of a zip. Python's releases mark larger ones in different ways.
LARGEST_PLAIN_ENTRY = 2**31 - 2**16


def read(path: Path) -> bytes:
    """The content of a file that a stage depends on. Raises UserError if there is no such file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    content = path.read_bytes()
    origin.use_file(path, content)
    return content


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
                if path.is_dir():
                    # Renaming would fail, but only after other files have changed.
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                part.write_bytes(contents[path])
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
        for path, part in temporary.items():
            part.replace(path)
    finally:
        for part in temporary.values():
            with suppress(OSError):
                part.unlink()


def array_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as an .npz file that `numpy.load` opens; same arrays, same bytes.

    Compression level 1 instead of `savez_compressed`'s 6: less than half the time, a fifth larger.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            large = array.nbytes > LARGEST_PLAIN_ENTRY
            with archive.open(f"{name}.npy", "w", force_zip64=large) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return content.getvalue()


def read_arrays(path: Path, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Read the arrays `names` from the .npz file `path`, in that order.

    Raises UserError if the file is absent, or as `parse_arrays` does.
    """
    return parse_arrays(read(path), str(path), names)


def parse_arrays(content: bytes, source: str, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """The arrays `names` in the content of an .npz file, in that order; never unpickles.

    Raises UserError, which names `source`, if it is not an intact .npz file, lacks one of the
    arrays, or unpacks to more than LARGEST_UNPACKED_BYTES.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            refuse_bomb(archive, LARGEST_UNPACKED_BYTES)
            missing = {f"{name}.npy" for name in names}.difference(archive.namelist())
            if missing:
                raise ValueError(f"it has no array {min(missing).removesuffix('.npy')}")
            return tuple(_read_array(archive, name) for name in names)
    except Exception as error:
        # NumPy, zipfile and zlib each raise several kinds for a damaged file.
        raise UserError(f"{source}: not a usable .npz file ({first_line(error)})") from error


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        try:
            array = np.lib.format.read_array(member, allow_pickle=False)
        except Exception as error:
            raise ValueError(f"{name}: {first_line(error)}") from error
        # Only at the end of an entry does zipfile compare its checksum.
        if member.read():
            raise ValueError(f"{name} is longer than its header says")
    return array


def refuse_bomb(archive: zipfile.ZipFile, largest: int) -> None:
    """Raise ValueError if the archive's entries unpack to more than `largest` bytes together.

    The sizes that it states count: zipfile reads no further than that.
    """
    if sum(entry.file_size for entry in archive.infolist()) > largest:
        raise ValueError(f"unpacked it is larger than {largest // 2**20} MB")


def json_bytes(values: Mapping[str, object]) -> bytes:
    """A (nested) mapping as JSON: sorted keys, floats with six significant digits.

    Raises ValueError if a number is not finite.
    """
    text = json.dumps(_rounded(values), indent=2, sort_keys=True, allow_nan=False)
    return f"{text}\n".encode()


def parse_json(content: bytes, source: str) -> dict[str, Any]:
    """The mapping in the content of a JSON file.

    Raises UserError, which names `source`, if it is something else.
    """
    try:
        values = json.loads(content)
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({first_line(error)})") from error
    if not isinstance(values, dict):
        raise UserError(f"{source}: not a JSON object")
    return values


def csv_bytes(columns: Mapping[str, Sequence[object] | np.ndarray]) -> bytes:
    """Equally long columns as CSV with a header; floats with six significant digits.

    Raises ValueError if the columns differ in length.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_rounded(value) for value in row])
    return text.getvalue().encode()


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, for use within a one-line message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float | np.floating):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, np.integer):
        return int(value)
    return value
