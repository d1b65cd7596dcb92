"""Files are written whole or not at all, have stable bytes, and are checked when they are read."""

import errno
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits import files
from digits.errors import UserError

ARRAY = np.random.default_rng(0).random(1000)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/a"
    files.write(path, b"content")
    assert files.read(path) == b"content"
    with pytest.raises(UserError, match="b: no such file"):
        files.read(tmp_path / "b")


@pytest.mark.parametrize(
    ("obstacle", "number"),
    [("full disk", errno.ENOSPC), ("file for a folder", errno.EEXIST), ("folder", errno.EISDIR)],
)
def test_all_files_are_written_or_none(tmp_path: Path, obstacle: str, number: int) -> None:
    first, second = tmp_path / "first", tmp_path / "parent/second"
    first.write_bytes(b"old")
    if obstacle == "full disk":
        second.parent.mkdir()
        (second.parent / ".second.part").symlink_to("/dev/full")
    elif obstacle == "file for a folder":
        second.parent.touch()
    else:
        second.mkdir(parents=True)
    before = sorted(tmp_path.rglob("[!.]*"))
    with pytest.raises(OSError) as error:
        files.write_all({first: b"new", second: b"new"})
    assert (error.value.errno, error.value.filename) == (number, str(second))
    assert first.read_bytes() == b"old"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_replaced_and_never_changed_in_place(tmp_path: Path) -> None:
    """DVC's cache may hold the same file under another name."""
    path, cached = tmp_path / "a", tmp_path / "cached"
    files.write(path, b"old")
    cached.hardlink_to(path)
    files.write(path, b"new")
    assert (path.read_bytes(), cached.read_bytes()) == (b"new", b"old")


def test_what_a_killed_run_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".a.part").write_bytes(b"half of a longer file")
    files.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    files.write(tmp_path / "a", b"")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_arrays_come_back_as_they_were_and_numpy_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    images = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    labels = np.array([1, 2, 3], np.uint8)
    files.write(path, files.array_bytes({"images": images, "labels": labels}))
    back_labels, back_images = files.read_arrays(path, ["labels", "images"])
    np.testing.assert_array_equal(back_images, images, strict=True)
    np.testing.assert_array_equal(back_labels, labels, strict=True)
    np.testing.assert_array_equal(np.load(path)["images"], images, strict=True)


def test_arrays_have_the_same_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = files.array_bytes({"a": ARRAY})
    monkeypatch.setattr(time, "time", lambda: 1e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1e9))
    assert files.array_bytes({"a": ARRAY}) == now


def zipped(**entries: bytes) -> bytes:
    """An archive that stores the entries NAME.npy as they are, with their checksums."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(f"{name}.npy", entry)
    return content.getvalue()


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=allow_pickle)
    return content.getvalue()


STORED, DEFLATED = zipped(a=npy(ARRAY)), files.array_bytes({"a": ARRAY})
DAMAGED = {
    "empty": (b"", "not a zip file"),
    "truncated": (DEFLATED[: len(DEFLATED) // 2], "not a zip file"),
    "altered": (DEFLATED[:500] + bytes(50) + DEFLATED[550:], "a: "),
    "random": (np.random.default_rng(0).bytes(5000), "not a zip file"),
    "text": (b"Not found\n", "not a zip file"),
    "a single array": (npy(ARRAY), "not a zip file"),
    "another array's": (files.array_bytes({"b": ARRAY}), "it has no array a)"),
    "pickled objects": (zipped(a=npy(np.array([{}]), allow_pickle=True)), "a: Object arrays can"),
    "an empty entry": (zipped(a=b""), "a: EOF"),
    "an entry that is no array": (zipped(a=b"not an array"), "a: the magic string is not correct"),
    "a header that says less": (zipped(a=npy(ARRAY) + b"more"), "a is longer than its header says"),
    "a header that says more": (
        zipped(a=npy(ARRAY).replace(b"(1000,), } ", b"(999999999,),}")),
        "a: ",
    ),
    # One bit: 0 instead of 1 makes the array empty.
    "a flipped bit in the header": (STORED.replace(b"(1000,)", b"(0000,)"), "Bad CRC-32"),
    "a flipped bit in the array": (
        STORED[:900] + bytes([STORED[900] ^ 1]) + STORED[901:],
        "a: Bad",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_array_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged.npz"
    content, reason = DAMAGED[damage]
    assert content not in (STORED, DEFLATED)
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        files.read_arrays(path, ["a"])
    message = str(error.value)
    assert message.startswith(f"{path}: not a usable .npz file (")
    assert reason in message
    assert len(message.splitlines()) == 1


def test_a_zip_bomb_is_refused_by_the_size_it_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    files.write(path, files.array_bytes({"a": np.zeros(2**18)}))
    assert path.stat().st_size < 2**17
    files.read_arrays(path, ["a"])
    monkeypatch.setattr(files, "LARGEST_UNPACKED_BYTES", 2**20)
    with pytest.raises(UserError, match="unpacked it is larger than 1 MB"):
        files.read_arrays(path, ["a"])


@given(
    content=st.sampled_from([STORED, DEFLATED]),
    at=st.integers(0, 10_000),
    put=st.binary(min_size=1, max_size=8),
)
def test_a_changed_file_is_read_right_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, put: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    at %= len(content)
    path.write_bytes(content[:at] + put + content[at + len(put) :])
    try:
        (back,) = files.read_arrays(path, ["a"])
    except UserError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        np.testing.assert_array_equal(back, ARRAY, strict=True)


def test_json_is_sorted_and_rounded() -> None:
    values = {"b": {"z": np.float64(2 / 3), "a": np.int64(7)}, "a": 1e-20 / 3}
    assert files.json_bytes(values) == (
        b'{\n  "a": 3.33333e-21,\n  "b": {\n    "a": 7,\n    "z": 0.666667\n  }\n}\n'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.json_bytes({"a": float("nan")})
    assert files.parse_json(files.json_bytes(values), "a.json")["b"]["a"] == 7


@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n{}", b"[]", b"", b"\xff"])
def test_json_that_is_damaged_is_named(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^a\.json: not (JSON \(.*\)|a JSON object)$"):
        files.parse_json(content, "a.json")


def test_csv_has_a_header_and_rounded_columns() -> None:
    content = files.csv_bytes({"n": range(2), "x": np.array([1 / 3, 2]), "empty": [None, None]})
    assert content == b"n,x,empty\n0,0.333333,\n1,2.0,\n"
    with pytest.raises(ValueError, match="zip"):
        files.csv_bytes({"n": range(2), "x": [1]})
