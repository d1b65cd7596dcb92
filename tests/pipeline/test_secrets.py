"""Nothing runs what it reads, and what is secret stays on this machine."""

import re
import secrets
from pathlib import Path

import pytest

from tests.conftest import ROOT, Workspace

CODE = [
    path for folder in ("stages", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")
]
# Ruff's S rules, on for all code, refuse eval, exec, unsafe YAML and shells; these it lets through.
RUNS_DATA = re.compile(
    r"import (pickle|marshal|shelve|dill|joblib)|allow_pickle=True|safe_mode=False"
)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_unpickles_or_loads_unsafely(path: Path) -> None:
    assert not RUNS_DATA.search(path.read_text())


def test_credentials_of_a_remote_stay_out_of_git_and_of_messages(small: Workspace) -> None:
    secret = secrets.token_hex(20)
    small.dvc("remote", "add", "--local", "--force", "storage", "s3://nowhere/digits")
    small.dvc("remote", "modify", "--local", "storage", "secret_access_key", secret)
    assert small.run("git", "status", "--porcelain").stdout == ""
    done = small.dvc("repro", "--verbose")
    assert secret not in done.stdout + done.stderr
    small.commit()
    small.run("git", "grep", "--quiet", secret, "HEAD", status=1)
    holding = [
        path
        for path in small.path.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert holding == [small.path / ".dvc/config.local"]
