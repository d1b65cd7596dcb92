"""Write arrays, JSON and CSV as stable bytes: the same values give the same file everywhere."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.lib.format import read_array, write_array
from pydantic import ValidationError

from digits.plumbing.errors import UserError, first_line

# Six significant digits: enough for any comparison, few enough that all processors agree.
SIGNIFICANT_DIGITS = 6
# Python's releases mark zip entries of more bytes in different ways.
MAX_PLAIN_ENTRY = 2**31 - 2**16
T = TypeVar("T")


def array_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return named arrays as an .npz file that `numpy.load` opens."""
    content = io.BytesIO()
    # Level 1 is used instead of `savez_compressed`'s 6: less than half the time, a fifth larger.
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            large = array.nbytes > MAX_PLAIN_ENTRY
            with archive.open(f"{name}.npy", "w", force_zip64=large) as member:
                write_array(member, array, allow_pickle=False)
    return content.getvalue()


def parse_arrays(content: bytes, source: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays among `names` that the content of an .npz file has; never unpickle.

    Raises UserError, which names `source`, if the file is damaged or not an .npz file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: f"{name}.npy" for name in names if f"{name}.npy" in archive.namelist()}
            # Unlike numpy.load(), ZipFile.read() always compares the checksum.
            files = {name: io.BytesIO(archive.read(entry)) for name, entry in entries.items()}
        return {name: read_array(file, allow_pickle=False) for name, file in files.items()}
    except Exception as error:
        # NumPy, zipfile and zlib each raise several kinds for a damaged file.
        raise UserError(f"{source}: not a usable .npz file ({first_line(error)})") from error


def json_bytes(values: Mapping[str, object] | Sequence[object]) -> bytes:
    """Return values as JSON: sorted keys, floats with six significant digits.

    Raises ValueError if a number is not finite.
    """
    return f"{json.dumps(_rounded(values), indent=2, sort_keys=True, allow_nan=False)}\n".encode()


def parse_json(content: bytes, source: str) -> Any:
    """Return the values in the content of a JSON file. Raises UserError, which names `source`."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: not JSON ({first_line(error)})") from error


def parse(validate: Callable[[Any], T], content: Any, source: str) -> T:
    """Have pydantic check content. Raises UserError, which names `source`."""
    try:
        return validate(content)
    except ValidationError as unfit:
        first = unfit.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(": ".join(filter(None, [source, place, first["msg"]]))) from None


def csv_bytes(columns: Mapping[str, Sequence[object] | np.ndarray]) -> bytes:
    """Return equally long columns as CSV with a header; floats with six significant digits.

    Raises ValueError if the columns differ in length.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_rounded(value) for value in row])
    return text.getvalue().encode()


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, np.integer):
        return int(value)
    return value
