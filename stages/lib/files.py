"""Atomic, byte-stable reading and writing of arrays, JSON and CSV."""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stages.lib.errors import UserError

# Six significant digits: more than any comparison needs, fewer than processors disagree about.
SIGNIFICANT_DIGITS = 6

# An .npz file that unpacks to more is refused: 20 times MNIST as it is prepared.
LARGEST_UNPACKED_BYTES = 4 * 2**30
# Bytes in an entry of a zip. Python's releases mark larger ones in different ways.
LARGEST_PLAIN_ENTRY = 2**31 - 2**16


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that appears under `path` only once it is complete and on disk.

    On Linux it has no name until then, so nothing remains of a run that is killed; elsewhere it
    lies beside `path` under a fixed name, and the next run overwrites it. Folders are made as
    needed. Raises OSError where the folder cannot be written or the disk is full; `path` is then as
    it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        with _open_without_name(path.parent) or temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not temporary.exists():
                _give_name(file.fileno(), temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _open_without_name(folder: Path) -> BinaryIO | None:
    """A new file on the folder's disk that is in no folder; None where there are no such files."""
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except (AttributeError, OSError):
        return None


def _give_name(descriptor: int, path: Path) -> None:
    # Naming a folder, which an absolute path makes irrelevant, is what lets Python follow the link.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as an .npz file that `numpy.load` opens; same arrays, same bytes.

    Compression level 1 instead of `savez_compressed`'s 6: less than half the time, a fifth larger.
    """
    with (
        atomic(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            large = array.nbytes > LARGEST_PLAIN_ENTRY
            with archive.open(f"{name}.npy", "w", force_zip64=large) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_arrays(path: Path, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Read the arrays `names` from the .npz file `path`, in that order; never unpickles.

    Raises UserError if the file is absent, is not an intact .npz, lacks one of the arrays, or
    unpacks to more than LARGEST_UNPACKED_BYTES.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(archive, LARGEST_UNPACKED_BYTES)
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(arrays[name] for name in names)
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}") from error
    except Exception as error:
        # NumPy, zipfile and zlib each raise several kinds for a damaged file.
        raise UserError(f"{path}: not a readable .npz file ({first_line(error)})") from error


def refuse_bomb(archive: zipfile.ZipFile, largest: int) -> None:
    """Raise ValueError if the archive's entries unpack to more than `largest` bytes together.

    The sizes that it states count: zipfile reads no further than that.
    """
    if sum(entry.file_size for entry in archive.infolist()) > largest:
        raise ValueError(f"unpacked it is larger than {largest // 2**20} MB")


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write a (nested) mapping as JSON: sorted keys, floats with six significant digits."""
    text = json.dumps(_rounded(values), indent=2, sort_keys=True, allow_nan=False)
    with atomic(path) as file:
        file.write(f"{text}\n".encode())


def write_csv(path: Path, columns: Mapping[str, Sequence[object] | np.ndarray]) -> None:
    """Write equally long columns as CSV with a header; floats with six significant digits.

    Raises ValueError if the columns differ in length.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_rounded(value) for value in row])
    with atomic(path) as file:
        file.write(text.getvalue().encode())


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
