"""`python -m sweep`: a grid of experiments on a Dask cluster on this machine."""

import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import Workspace
from tests.servers import wait_until

SWEEP = (sys.executable, "-m", "sweep", "-S", "train_hidden.units=8")


@pytest.fixture
def pushed(shared: Workspace) -> Workspace:
    shared.run("git", "fetch", "--quiet", "origin")
    return shared


def commands_in(folder: Path) -> list[str]:
    """The command lines of the processes that run in folders below `folder`."""
    return [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "cwd"])
        if Path(process.info["cwd"] or "/").is_relative_to(folder)
    ]


def test_a_failure_does_not_stop_the_others_and_the_rest_is_not_run_again(
    pushed: Workspace, tmp_path: Path
) -> None:
    """With the project in a folder of a larger repository."""
    shutil.move(pushed.path / ".git", tmp_path)
    (tmp_path / ".gitignore").write_text("home\nhub\n")
    Workspace(tmp_path).commit()
    pushed.run("git", "remote", "set-url", "origin", tmp_path / "hub")
    pushed.run("git", "push", "--quiet", "origin", "main")
    done = pushed.run(*SWEEP, "-S", "prepare.dataset=small,missing", "--workers", "2", status=1)
    assert done.stdout.startswith("2 experiments, 0 of them done already\n")
    assert "data/raw/missing.npz" in done.stdout.split(" failed:\n")[1]
    assert done.stderr == "error: 1 of 2 experiments failed\n"
    board = done.stdout.split("Validation accuracy")[1].splitlines()
    (row,) = (line for line in board if "dataset=small-units=8-" in line)

    again = pushed.run(*SWEEP, "-S", "prepare.dataset=small").stdout
    assert again.startswith("1 experiments, 1 of them done already\n\nValidation accuracy")
    assert row in again


def test_ctrl_c_ends_a_sweep_and_all_that_it_started(pushed: Workspace, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with pushed.start(*SWEEP, TMPDIR=str(temporary)) as head:
        wait_until(
            lambda: (
                head.poll() is not None
                or any("stages.train_hidden" in line for line in commands_in(temporary))
            )
        )
        # To the head and to the workers, as a terminal does.
        os.killpg(head.pid, signal.SIGINT)
        stderr = head.communicate()[1]
        assert head.returncode == 130
    assert "interrupted\n" in stderr
    assert "Traceback" not in stderr
    assert commands_in(temporary) == []
    assert list(temporary.iterdir()) == []
