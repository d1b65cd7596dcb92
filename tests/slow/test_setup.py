"""`make setup` in a fresh clone: it changes nothing outside, whatever environment is active.

It installs the packages, from uv's cache where they are in it.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Workspace

PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def content(folder: Path) -> dict[str, str]:
    """Each file and link below the folder, with what it holds."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_another_environment_is_left_alone(
    checkout: Callable[[], Workspace], tmp_path: Path
) -> None:
    workspace = checkout()
    other = tmp_path / "other"
    workspace.run(sys.executable, "-m", "venv", other)
    before = content(other)
    # This user's network and caches, in front of which the other environment is active.
    path = os.pathsep.join([str(other / "bin"), os.environ["PATH"]])
    network = {name: os.environ.get(name, "") for name in PROXIES}
    user = network | {"PATH": path, "HOME": os.environ["HOME"]}
    workspace.run("make", "setup", env=user | {"VIRTUAL_ENV": str(other)})
    workspace.run("make", "setup", "EXTRAS=ssh", env=user | {"CONDA_PREFIX": str(other)})
    assert content(other) == before

    python = workspace.path / ".venv/bin/python"
    done = workspace.run(python, "-m", "tools.doctor")
    assert "ok      packages  as in requirements.lock" in done.stdout
    assert workspace.run(python, "-c", "import keras, dvc_ssh, sys; print(sys.prefix)").stdout == (
        f"{workspace.path / '.venv'}\n"
    )
    # Set up once, it has nothing left to do; nothing that Git would see has changed.
    assert workspace.run("make", "setup", env=user).stdout.splitlines() in (
        [],
        ["make: Nothing to be done for 'setup'."],
    )
    assert workspace.run("git", "status", "--porcelain").stdout == ""
