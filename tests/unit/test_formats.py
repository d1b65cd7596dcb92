"""Stable bytes, and how they are read back or refused."""

import io

import numpy as np
import pytest

from digits.plumbing.errors import UserError
from digits.portable import formats

ARRAY = np.random.default_rng(0).random(1000)
GOOD = formats.array_bytes({"a": ARRAY, "b": ARRAY[:2]})


def test_arrays_come_back_as_they_were() -> None:
    read = formats.parse_arrays(GOOD, "a.npz", ["a", "c"])
    assert read.keys() == {"a"}
    np.testing.assert_array_equal(read["a"], ARRAY, strict=True)
    np.testing.assert_array_equal(np.load(io.BytesIO(GOOD))["b"], ARRAY[:2], strict=True)


def test_nothing_is_unpickled() -> None:
    content = io.BytesIO()
    np.savez(content, a=np.array([{}]))
    with pytest.raises(UserError, match="Object arrays cannot be loaded when allow_pickle=False"):
        formats.parse_arrays(content.getvalue(), "a.npz", ["a"])


def test_a_damaged_npz_file_is_named() -> None:
    for content in (GOOD[: len(GOOD) // 2], GOOD[:500] + bytes(50) + GOOD[550:]):
        with pytest.raises(UserError, match=r"^a\.npz: not a usable \.npz file \(.*\)$"):
            formats.parse_arrays(content, "a.npz", ["a"])


def test_json_is_sorted_and_rounded() -> None:
    content = formats.json_bytes([{"b": {"z": np.float64(2 / 3), "a": np.int64(7)}, "a": (1 / 3,)}])
    assert content.split() == b'[ { "a": [ 0.333333 ], "b": { "a": 7, "z": 0.666667 } } ]'.split()
    with pytest.raises(ValueError, match="not JSON compliant"):
        formats.json_bytes({"a": float("nan")})
    for damaged in (b"<<<<<<< HEAD\n{}", b"\xff"):
        with pytest.raises(UserError, match=r"^a\.json: not JSON \(.*\)$"):
            formats.parse_json(damaged, "a.json")


def test_csv_has_a_header_and_rounded_columns() -> None:
    content = formats.csv_bytes({"n": range(2), "x": np.array([1 / 3, 2]), "empty": [None, None]})
    assert content == b"n,x,empty\n0,0.333333,\n1,2.0,\n"
