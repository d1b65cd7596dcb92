"""`make setup` in a fresh clone, from the package index or from uv's cache."""

import os
import sys
from pathlib import Path

from tests.conftest import Checkout


def test_it_sets_up_dotenv_and_leaves_the_active_environment_alone(
    checkout: Checkout, tmp_path: Path
) -> None:
    workspace = checkout()
    other = tmp_path / "other"
    workspace.run(sys.executable, "-m", "venv", other)
    before = sorted(other.rglob("*"))
    # This user's network and caches, in front of which the other environment is active.
    user = dict.fromkeys(("http_proxy", "https_proxy", "no_proxy"), "")
    user |= {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    user |= {"PATH": f"{other / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(other)}
    workspace.run("make", "setup", "EXTRAS=ssh", env=user)
    assert sorted(other.rglob("*")) == before

    python = workspace.path / ".venv/bin/python"
    workspace.run(python, "-c", "import dvc_ssh")
    assert "packages  as in requirements.lock" in workspace.run(python, "-m", "tools.doctor").stdout
    # Set up once, it has nothing left to do; nothing that Git would see has changed.
    assert "pip" not in workspace.run("make", "setup", env=user).stdout
    assert workspace.run("git", "status", "--porcelain").stdout == ""
