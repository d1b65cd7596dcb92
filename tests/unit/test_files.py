import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lib import files
from stages.lib.errors import UserError


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(params=["Linux", "elsewhere"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "elsewhere":
        monkeypatch.delattr(os, "O_TMPFILE")


@pytest.mark.usefixtures("system")
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), files.atomic(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="every file has a name on this system")
def test_nothing_remains_of_a_run_that_is_killed(tmp_path: Path) -> None:
    command = (
        "import os, pathlib, signal, sys; from stages.lib import files\n"
        "with files.atomic(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(bytes(2**20)); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", command, tmp_path / "a"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == []


@pytest.mark.usefixtures("system")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.usefixtures("system")
def test_what_a_killed_run_left_behind_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    path.parent.mkdir()
    (path.parent / ".a.json.part").write_bytes(b"left by a run that was killed")
    files.write_json(path, {"a": 1})
    assert names(path.parent) == ["a.json"]


def test_arrays_come_back_as_they_were_and_numpy_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    images = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    labels = np.array([1, 2, 3], np.uint8)
    files.write_arrays(path, {"images": images, "labels": labels})
    back_labels, back_images = files.read_arrays(path, ["labels", "images"])
    np.testing.assert_array_equal(back_images, images, strict=True)
    np.testing.assert_array_equal(back_labels, labels, strict=True)
    np.testing.assert_array_equal(np.load(path)["images"], images, strict=True)


def test_arrays_have_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    arrays = {"a": np.zeros(1000), "b": np.arange(5)}
    files.write_arrays(tmp_path / "1.npz", arrays)
    time.sleep(2.1)  # A zip's dates have a resolution of two seconds.
    files.write_arrays(tmp_path / "2.npz", arrays)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def damaged(kind: str, path: Path) -> None:
    files.write_arrays(path, {"a": np.random.default_rng(0).random(1000)})
    content = path.read_bytes()
    if kind == "absent":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "altered":
        path.write_bytes(content[:500] + bytes(50) + content[550:])
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "another array's":
        np.savez(path, b=np.zeros(3))
    elif kind == "single array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "pickle":
        np.savez(path, a=np.array([{"an": "object"}], dtype=object))
    elif kind == "text":
        path.write_text("Not found\n")


@pytest.mark.parametrize(
    "kind",
    [
        "absent",
        "empty",
        "truncated",
        "altered",
        "noise",
        "another array's",
        "single array",
        "pickle",
        "text",
    ],
)
def test_a_damaged_array_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "damaged.npz"
    damaged(kind, path)
    with pytest.raises(UserError, match=r"damaged\.npz: ") as error:
        files.read_arrays(path, ["a"])
    assert len(str(error.value).splitlines()) == 1


def test_a_zip_bomb_is_refused_by_the_size_it_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    files.write_arrays(path, {"a": np.zeros(2**18)})
    assert path.stat().st_size < 2**17
    files.read_arrays(path, ["a"])
    monkeypatch.setattr(files, "LARGEST_UNPACKED_BYTES", 2**20)
    with pytest.raises(UserError, match="unpacked it is larger than 1 MB"):
        files.read_arrays(path, ["a"])


@given(at=st.integers(0, 10_000), bytes_=st.binary(min_size=1, max_size=8))
def test_whatever_bytes_change_the_file_reads_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, at: int, bytes_: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    array = np.random.default_rng(0).random(100)
    files.write_arrays(path, {"a": array})
    content = path.read_bytes()
    at %= len(content)
    path.write_bytes(content[:at] + bytes_ + content[at + len(bytes_) :])
    try:
        (back,) = files.read_arrays(path, ["a"])
    except UserError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        np.testing.assert_array_equal(back, array)


def test_json_is_sorted_and_rounded(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"b": {"z": np.float64(2 / 3), "a": np.int64(7)}, "a": 1e-20 / 3})
    assert path.read_text() == (
        '{\n  "a": 3.33333e-21,\n  "b": {\n    "a": 7,\n    "z": 0.666667\n  }\n}\n'
    )
    assert json.loads(path.read_text())["b"]["a"] == 7


def test_json_cannot_hold_what_is_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert names(tmp_path) == []


def test_csv_has_a_header_and_rounded_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    files.write_csv(path, {"n": range(2), "x": np.array([1 / 3, 2]), "empty": [None, None]})
    assert path.read_bytes() == b"n,x,empty\n0,0.333333,\n1,2.0,\n"
    with pytest.raises(ValueError, match="zip"):
        files.write_csv(path, {"n": range(2), "x": [1]})
