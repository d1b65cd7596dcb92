"""Small disks and read-only folders, where a test may mount them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """Something mounted at the last of the arguments; skips where that is not allowed."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        # At once, even while a process that is about to end still has a file open there.
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 24 MB at `folder`, a new one."""
    folder.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs", folder):
        yield


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write in the folder."""
    if os.geteuid() == 0:
        # Permissions do not stop root.
        with mounted("-o", "bind,ro", folder, folder):
            yield
        return
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)
