"""Clones share results through the default remote, ~/dvc-storage/digits."""

import re
from pathlib import Path

from tests.conftest import STAGES, WIDE, Workspace

HIDDEN = "models/hidden.keras"


def test_all_runs_are_pushed_and_run_nowhere_else(small: Workspace, tmp_path: Path) -> None:
    pushed = small.make("push").stdout
    assert re.fullmatch(rf"\d+ files pushed, and the records of {len(STAGES) + 2} runs\n", pushed)
    second = small.clone(tmp_path / "second")
    second.set_params(**{"train_hidden.units": WIDE})
    assert second.repro("--pull") == []
    assert (second.path / HIDDEN).read_bytes() != (small.path / HIDDEN).read_bytes()


def test_a_password_in_a_remote_is_never_shown(small: Workspace) -> None:
    url = "https://me:se@cret:word@127.0.0.1:9/digits"
    small.dvc("remote", "modify", "--local", "storage", "url", url)
    said = small.make("doctor").stdout + small.make("push", status=2).stderr
    assert "127.0.0.1:9" in said
    assert "se@cret" not in said and "word" not in said
