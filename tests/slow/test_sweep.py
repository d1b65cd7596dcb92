"""`python -m sweep`: experiments on a Dask cluster on this machine."""

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import Workspace

SWEEP = (sys.executable, "-m", "sweep", "-S", "train_hidden.units=8")


def commands_in(folder: Path) -> str:
    """The command lines of the processes that run in folders below `folder`."""
    return "\n".join(
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "cwd"])
        if Path(process.info["cwd"] or "/").is_relative_to(folder)
    )


def test_a_failure_stops_nothing_and_the_rest_runs_once(shared: Workspace, tmp_path: Path) -> None:
    """With the project in a folder of a larger repository."""
    shutil.move(shared.path / ".git", tmp_path)
    (tmp_path / ".gitignore").write_text("home\nhub\n")
    Workspace(tmp_path).commit()
    shared.run("git", "remote", "set-url", "origin", tmp_path / "hub")
    shared.run("git", "push", "--quiet", "origin", "main")
    done = shared.run(*SWEEP, "-S", "prepare.dataset=small,missing", "--workers", "2", status=1)
    assert done.stdout.startswith("0 of 2 experiments already done\n")
    assert "data/raw/missing.npz" in done.stdout.split(" failed:\n")[1]
    assert done.stderr == "error: 1 of 2 experiments failed\n"
    board = done.stdout.split("Validation accuracy")[1].splitlines()
    (row,) = (line for line in board if "dataset=small-units=8-" in line)

    again = shared.run(*SWEEP, "-S", "prepare.dataset=small").stdout
    assert again.startswith("1 of 1 experiments already done\n\nValidation accuracy")
    assert row in again


def test_a_search_goes_on_in_the_clone_of_a_colleague(shared: Workspace) -> None:
    search = (*SWEEP, "-S", "train_hidden.seed=range(1,9)", "--trials")
    failing = shared.run(*search, "1", "-S", "prepare.dataset=missing", status=1).stdout
    assert failing.endswith("No experiment of this search has ended.\n")
    shared.run(*search, "2", "--workers", "2")
    shared.run("git", "clone", "--quiet", "../hub", "../colleague")
    done = Workspace(shared.path.parent / "colleague").run(*search, "3").stdout
    assert done.startswith("2 of 3 experiments already done\n")
    assert "The best of 3 has " in done and "python -m sweep -S train_hidden.units=8 " in done


def test_ctrl_c_ends_a_sweep_and_all_that_it_started(shared: Workspace, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    long = ("-S", "train_hidden.epochs=1000")
    with shared.start(*SWEEP, *long, TMPDIR=str(temporary)) as head:
        while head.poll() is None and "stages.train_hidden" not in commands_in(temporary):
            time.sleep(0.1)
        # As a terminal does.
        os.killpg(head.pid, signal.SIGINT)
        stderr = head.communicate()[1]
        assert head.returncode == 130
    assert "interrupted\n" in stderr
    assert "Traceback" not in stderr
    assert commands_in(temporary) == ""
    assert list(temporary.iterdir()) == []


def test_what_workers_cannot_get_is_refused(shared: Workspace) -> None:
    def refusal(*options: str) -> str:
        return shared.run(*SWEEP, *options, status=1).stderr

    assert refusal("--workers", "0") == "error: --workers is 0; must be 1 or more\n"
    scheduler = refusal("--scheduler", "http://head:80")
    assert re.fullmatch("error: --scheduler http://head:80: .* address .*\n", scheduler)
    assert refusal("--git-remote", "nowhere").startswith("error: fatal: 'nowhere' does not ")
    shared.commit()
    assert refusal().endswith(" is not on origin: git push origin\n")
    (shared.path / "new").touch()
    assert refusal().startswith("error: uncommitted changes (see git status): ")
