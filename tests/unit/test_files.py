"""Files are written whole or not at all, and a stage knows which of its inputs have changed."""

import errno
from pathlib import Path

import pytest

from digits import files
from digits.errors import UserError


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
    with pytest.raises(OSError) as error:
        files.write_all({first: b"new", second: b"new"})
    assert (error.value.errno, error.value.filename) == (number, str(second))
    assert first.read_bytes() == b"old"
    assert not [*tmp_path.rglob("*.part")]


def test_a_file_is_replaced_and_never_changed_in_place(tmp_path: Path) -> None:
    """DVC's cache may hold the same file under another name; a killed run may have left a part."""
    path, cached = tmp_path / "new/a", tmp_path / "cached"
    with pytest.raises(UserError, match="a: no such file"):
        files.read(path)
    files.write(path, b"old")
    cached.hardlink_to(path)
    path.with_name(".a.part").write_bytes(b"half of a longer file")
    files.write(path, b"new")
    assert (files.read(path), cached.read_bytes()) == (b"new", b"old")
    assert len([*path.parent.iterdir()]) == 1


def test_inputs_that_have_changed(tmp_path: Path) -> None:
    same, edited, deleted = paths = [tmp_path / name for name in ("same", "edited", "deleted")]
    for path in paths:
        path.write_bytes(b"content")
        files.read(path)
    same.write_bytes(b"content")
    edited.write_bytes(b"context")
    deleted.unlink()
    assert set(paths) <= set(files.inputs())
    assert {str(edited), str(deleted)} <= set(files.changed())
    assert str(same) not in files.changed()
