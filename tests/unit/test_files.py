"""Files are written whole or not at all, and a stage knows which of its inputs have changed."""

from pathlib import Path

import pytest

from digits.plumbing import files
from digits.plumbing.errors import UserError


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")
    (tmp_path / ".second.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        files.write_all({first: b"new", second: b"new"})
    assert error.value.filename == str(second)
    assert first.read_bytes() == b"old"
    assert not [*tmp_path.rglob("*.part")]
    second.mkdir()
    with pytest.raises(IsADirectoryError, match=str(second)):
        files.write_all({first: b"new", second: b"new"})
    assert first.read_bytes() == b"old"


def test_a_file_is_replaced_and_never_changed_in_place(tmp_path: Path) -> None:
    """DVC's cache may hold the same file under another name; a killed run may have left a part."""
    path, cached = tmp_path / "new/a", tmp_path / "cached"
    with pytest.raises(UserError, match="a: no such file"):
        files.read(path)
    files.write(path, b"old")
    cached.hardlink_to(path)
    path.with_name(".a.part").write_bytes(b"half of a longer file")
    files.write(path, b"new")
    assert (path.read_bytes(), cached.read_bytes()) == (b"new", b"old")
    assert len([*path.parent.iterdir()]) == 1
