"""`python -m sweep`: a grid of experiments on the workers of a Dask cluster."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sweep import grid
from tests.conftest import Workspace
from tests.servers import S3Server, free_port, wait_until

KEY = "train_hidden.units"


@pytest.fixture
def shared(small: Workspace, tmp_path: Path) -> Workspace:
    """The finished run on the shipped digits, pushed to a bare Git repository."""
    small.run("git", "clone", "--quiet", "--bare", ".", tmp_path / "origin.git")
    small.run("git", "remote", "add", "origin", tmp_path / "origin.git")
    small.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    return small


def sweep(workspace: Workspace, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Standard output and standard error of a sweep."""
    done = workspace.run(sys.executable, "-m", "sweep", *arguments, status=status)
    return done.stdout, done.stderr


def name(units: int) -> str:
    return grid.name([f"{KEY}={units}"])


def tree(workspace: Workspace, units: int) -> str:
    """Git's hash of an experiment's files, dvc.lock with the hashes of all others among them."""
    head = workspace.run("git", "rev-parse", "HEAD").stdout.strip()
    reference = f"refs/exps/{head[:2]}/{head[2:]}/{name(units)}^{{tree}}"
    return workspace.run("git", "rev-parse", reference).stdout.strip()


def test_a_trial_that_fails_does_not_stop_the_others_and_what_is_done_is_skipped(
    shared: Workspace, tmp_path: Path
) -> None:
    output, errors = sweep(shared, "-S", f"{KEY}=-1,8", "--workers", "2", status=1)
    assert output.startswith("2 experiments, 0 of them done already\ndashboard: http://127.0.0.1:")
    assert "1 done, 0 running, 1 failed, about 0 s left" in output
    assert f"{name(-1)} failed:" in errors
    assert "train_hidden.units is -1; must be a whole number from 1 to 10000" in errors
    assert errors.endswith("error: 1 of 2 experiments failed\n")
    row = next(line for line in output.splitlines() if line.endswith(name(8)))
    assert row.split()[:5] == ["hidden", "2", "32", "0.001", "8"]

    again, _ = sweep(shared, "-S", f"{KEY}=8")
    assert again.startswith("1 experiments, 1 of them done already\n\nValidation accuracy")
    assert row in again

    alone = shared.clone(tmp_path / "alone")
    alone.dvc("pull")
    alone.dvc("exp", "run", "--name", name(8), "-S", f"{KEY}=8")
    assert tree(alone, 8) == tree(shared, 8)


def test_it_refuses_to_start_where_workers_could_not_get_the_commit(shared: Workspace) -> None:
    def refusal(*arguments: str) -> str:
        output, errors = sweep(shared, "-S", f"{KEY}=8", *arguments, status=1)
        assert output == ""
        assert len(errors.splitlines()) == 1
        return errors

    assert refusal("--git-remote", "nowhere").startswith("error: no Git remote nowhere:")
    shared.run("git", "commit", "--quiet", "--allow-empty", "--message", "Not pushed")
    assert "is not on origin: git push origin" in refusal()
    shared.run("git", "push", "--quiet")
    shared.dvc("config", "--unset", "core.remote")
    assert refusal() == (
        "error: uncommitted changes in .dvc/config: workers see only what is committed\n"
    )
    shared.commit("No default remote")
    shared.run("git", "push", "--quiet")
    assert refusal().startswith("error: no default DVC remote:")
    assert refusal("-S", "units=[1").startswith("error: -S train_hidden.units=8 units=[1: ")


def test_a_scheduler_that_does_not_answer_is_all_that_is_said(shared: Workspace) -> None:
    nobody = "tcp://127.0.0.1:9"
    output, errors = sweep(shared, "-S", f"{KEY}=8", "--scheduler", nobody, status=1)
    assert output == "1 experiments, 0 of them done already\n"
    assert errors == f"error: {nobody}: no scheduler answers; see dask scheduler\n"


def test_an_interrupted_sweep_keeps_what_is_done_and_leaves_nothing_running(
    shared: Workspace, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with log.open("w") as file:
        head = subprocess.Popen(
            [sys.executable, "-m", "sweep", "-S", f"{KEY}=8,9,10"],
            cwd=shared.path,
            env=shared.environment | {"TMPDIR": str(temporary)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    wait_until(lambda: "1 done" in log.read_text(), 120)
    wait_until(lambda: bool(stages_in(temporary)), 120)
    # As the terminal does: to the head and to the workers alike.
    os.killpg(head.pid, signal.SIGINT)
    assert head.wait() == 130
    assert log.read_text().endswith("interrupted\n")
    assert "Traceback" not in log.read_text()
    assert name(8) in log.read_text().split("Validation accuracy")[1]
    assert stages_in(temporary) == []
    assert list(temporary.rglob("clone-*")) == []


def stages_in(folder: Path) -> list[psutil.Process]:
    """Stages that run in clones below `folder`."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if "stages." in " ".join(process.info["cmdline"] or [])
        and Path(process.info["cwd"] or "/").is_relative_to(folder)
    ]


@contextmanager
def started(folder: Path, environment: dict[str, str], *command: str) -> Iterator[psutil.Process]:
    """A process with its output in a file; killed at the end, with what it started."""
    folder.mkdir()
    with (folder / "log.txt").open("w") as log:
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.is_running():
            for child in process.children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def test_workers_elsewhere_share_nothing_but_the_remotes_and_one_may_die(
    shared: Workspace, tmp_path: Path, s3_server: S3Server
) -> None:
    shared.share_through(remote := s3_server.remote("sweep"))
    shared.run("git", "push", "--quiet")
    environment = shared.environment | remote.environment
    dask = str(Path(sys.executable).with_name("dask"))
    scheduler = f"tcp://127.0.0.1:{free_port()}"

    def worker(folder: str) -> list[str]:
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path / folder)]
        return [dask, "worker", scheduler, *options]

    port = scheduler.rpartition(":")[2]
    with (
        started(
            tmp_path / "head", environment, dask, "scheduler", "--host", "127.0.0.1",
            "--port", port, "--no-dashboard",
        ),
        started(tmp_path / "first", environment, *worker("first")) as first,
        started(tmp_path / "second", environment, *worker("second")),
        started(
            tmp_path / "sweep", environment | {"PYTHONPATH": str(shared.path)}, "env", "--chdir",
            str(shared.path), sys.executable, "-m", "sweep", "-S", f"{KEY}=8,9,10",
            "--scheduler", scheduler,
        ) as head,
    ):  # fmt: skip
        wait_until(lambda: any(stages_in(tmp_path / "first")), 40)
        for process in [*first.children(recursive=True), first]:
            process.kill()
        log = tmp_path / "sweep/log.txt"
        assert head.wait(300) == 0, log.read_text()
        assert "3 done, 0 running, 0 failed" in log.read_text()
        assert len(list((tmp_path / "second").glob("**/clone-*/.dvc/cache"))) == 1

    # Somebody else has only the remotes, too.
    other = shared.clone(tmp_path / "other")
    other.run("git", "remote", "set-url", "origin", tmp_path / "origin.git")
    other.dvc("exp", "pull", "origin", name(9), env=remote.environment)
    other.dvc("exp", "apply", name(9))
    assert other.repro() == []
    assert other.outputs()["models/hidden.keras"]
