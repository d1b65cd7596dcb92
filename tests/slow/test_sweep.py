"""`python -m sweep`: a grid of experiments on the workers of a Dask cluster."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from distributed import Client
from distributed.security import Security
from ruamel.yaml import YAML

from sweep import grid
from sweep.__main__ import connect
from tests.conftest import Workspace
from tests.servers import free_port, wait_until

UNITS = "train_hidden.units"


@pytest.fixture(scope="module")
def pushed(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, its home, and the bare Git repository it was pushed to."""
    folder = tmp_path_factory.mktemp("pushed")
    workspace = small_pipeline.copy(folder)
    workspace.run("git", "clone", "--quiet", "--bare", ".", "../origin.git")
    workspace.run("git", "remote", "add", "origin", "../origin.git")
    workspace.run("git", "fetch", "--quiet", "origin")
    workspace.dvc("push", "--quiet")
    return folder


@pytest.fixture
def shared(pushed: Path, tmp_path: Path) -> Workspace:
    """A copy of all that, to change at will."""
    shutil.copytree(pushed, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Workspace(tmp_path / "digits")


def name(units: int) -> str:
    return grid.name([f"{UNITS}={units}"])


def tree(workspace: Workspace, experiment: str) -> str:
    """Git's hash of an experiment's files, dvc.lock with the hashes of all others among them."""
    head = workspace.run("git", "rev-parse", "HEAD").stdout.strip()
    reference = f"refs/exps/{head[:2]}/{head[2:]}/{experiment}^{{tree}}"
    return workspace.run("git", "rev-parse", reference).stdout.strip()


def commands_in(folder: Path) -> list[str]:
    """The command lines of the processes that run in folders below `folder`."""
    return [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "cwd"])
        if Path(process.info["cwd"] or "/").is_relative_to(folder)
    ]


def is_training(folder: Path) -> bool:
    return any("stages.train_hidden" in command for command in commands_in(folder))


@contextmanager
def started(folder: Path, environment: dict[str, str], *command: str) -> Iterator[psutil.Popen]:
    """A process in a group of its own, its output in log.txt; killed at the end."""
    folder.mkdir(exist_ok=True)
    with (folder / "log.txt").open("w") as log:
        process = psutil.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.is_running():
            for child in process.children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def sweep_in(workspace: Workspace, *arguments: str) -> tuple[str, ...]:
    """The command of a sweep, for `started`."""
    sweep = (sys.executable, "-m", "sweep", *arguments)
    return ("env", f"--chdir={workspace.path}", *sweep)


def test_one_failure_does_not_stop_the_others_and_what_is_done_is_not_run_again(
    shared: Workspace, tmp_path: Path
) -> None:
    sweep = (sys.executable, "-m", "sweep", "-S", f"{UNITS}=8")
    done = shared.run(*sweep, "-S", "prepare.dataset=small,missing", "--workers", "2", status=1)
    assert done.stdout.startswith("2 experiments, 0 of them done already\ndashboard: http://127.")
    assert "data/raw/missing.npz" in done.stdout.split(" failed:\n")[1]
    assert done.stderr == "error: 1 of 2 experiments failed\n"
    good = grid.name([f"{UNITS}=8", "prepare.dataset=small"])
    row = next(line for line in done.stdout.splitlines() if line.endswith(good))
    assert row.startswith("hidden")

    again = shared.run(*sweep, "-S", "prepare.dataset=small").stdout
    assert again.startswith("1 experiments, 1 of them done already\n\nValidation accuracy")
    assert row in again

    alone = shared.clone(tmp_path / "alone")
    alone.dvc("pull")
    alone.dvc("exp", "run", "--name", good, "-S", f"{UNITS}=8", "-S", "prepare.dataset=small")
    assert tree(alone, good) == tree(shared, good)


def test_strangers_cannot_connect_to_the_cluster_on_this_machine() -> None:
    with connect(None, 1) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        assert all(worker.startswith("tls://") for worker in client.scheduler_info()["workers"])
        with pytest.raises(OSError, match=r"Connection reset|closed"):
            Client(address.replace("tls://", "tcp://"), timeout=5)
        with pytest.raises(OSError, match="certificate does not match"):
            Client(address, security=Security.temporary(), timeout=5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_sweep_and_all_that_it_started(
    number: signal.Signals, shared: Workspace, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = shared.environment | {"TMPDIR": str(temporary)}
    command = sweep_in(shared, "-S", f"{UNITS}=8,9")
    with started(tmp_path / "sweep", environment, *command) as head:
        wait_until(lambda: is_training(temporary), 120)
        # To the head and to the workers, as a terminal does.
        os.killpg(head.pid, number)
        assert head.wait() == 130
    log = (tmp_path / "sweep/log.txt").read_text()
    assert "interrupted\n" in log
    # After SIGHUP, Python's resource tracker complains, but to a terminal that is gone.
    assert "Traceback" not in log or number == signal.SIGHUP
    assert commands_in(temporary) == []
    assert list(temporary.iterdir()) == []


def test_nothing_outlives_a_sweep_that_is_killed(shared: Workspace, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = shared.environment | {"TMPDIR": str(temporary)}
    with started(tmp_path / "sweep", environment, *sweep_in(shared, "-S", f"{UNITS}=8")) as head:
        wait_until(lambda: is_training(temporary), 120)
        head.kill()
        wait_until(lambda: commands_in(temporary) == [], 20)


def test_a_remote_that_is_gone_at_the_end_does_not_hide_what_failed(
    shared: Workspace, tmp_path: Path
) -> None:
    origin = tmp_path / "origin.git"
    command = sweep_in(shared, "-S", f"{UNITS}=8")
    with started(tmp_path / "sweep", shared.environment, *command) as head:
        log = tmp_path / "sweep/log.txt"
        wait_until(lambda: "dashboard" in log.read_text(), 60)
        origin.rename(tmp_path / "gone.git")
        assert head.wait() == 1
    progress, error = log.read_text().split("error: git ls-remote: ")
    assert f"1/1 {name(8)} failed:" in progress
    assert str(origin) in progress
    assert "Could not read from remote repository" in error


def test_a_scheduler_that_cannot_be_reached_is_named(shared: Workspace) -> None:
    for scheduler, reason in (
        ("tcp://127.0.0.1:9", "Timed out trying to connect"),
        ("tls://127.0.0.1:9", "check your TLS configuration"),
    ):
        done = shared.run(
            *(sys.executable, "-m", "sweep", "-S", f"{UNITS}=8", "--scheduler", scheduler),
            status=1,
            env={"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"},
        )
        assert done.stdout == "1 experiments, 0 of them done already\n"
        assert done.stderr.startswith(f"error: --scheduler {scheduler}: ")
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_scheduler_that_dies_is_all_that_is_reported(shared: Workspace, tmp_path: Path) -> None:
    dask = str(Path(sys.executable).with_name("dask"))
    port = str(free_port())
    listen = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
    command = sweep_in(shared, "-S", f"{UNITS}=8", "--scheduler", f"tcp://127.0.0.1:{port}")
    with (
        started(
            tmp_path / "scheduler", shared.environment, dask, "scheduler", *listen
        ) as scheduler,
        started(tmp_path / "sweep", shared.environment, *command) as head,
    ):
        log = tmp_path / "sweep/log.txt"
        wait_until(lambda: "dashboard" in log.read_text(), 60)
        scheduler.kill()
        assert head.wait() == 1
    assert log.read_text().splitlines()[2:] == ["error: the connection to the scheduler was lost"]


def certificate(folder: Path) -> None:
    """A certificate and Dask's configuration to use it, as docs/experiments.md says."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj",
         "/CN=sweep", "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    files = {"cert": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    roles = dict.fromkeys(("scheduler", "worker", "client"), files)
    tls = {"ca-file": files["cert"]} | roles
    comm = {"require-encryption": True, "tls": tls}
    YAML().dump({"distributed": {"comm": comm}}, folder / "dask.yaml")


def test_workers_elsewhere_need_nothing_but_the_remotes_and_one_may_die(
    shared: Workspace, tmp_path: Path
) -> None:
    certificate(tmp_path)
    environment = shared.environment | {"DASK_CONFIG": str(tmp_path / "dask.yaml")}
    dask = str(Path(sys.executable).with_name("dask"))
    port = str(free_port())
    scheduler = f"tls://127.0.0.1:{port}"

    def worker(folder: Path) -> tuple[str, ...]:
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        return (dask, "worker", scheduler, *options)

    first, second = tmp_path / "first", tmp_path / "second"
    listen = ("--protocol", "tls", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    command = sweep_in(shared, "-S", f"{UNITS}=8,9", "--scheduler", scheduler)
    with (
        started(tmp_path / "head", environment, dask, "scheduler", *listen),
        started(first, environment, *worker(first)) as dying,
        started(second, environment, *worker(second)),
        started(tmp_path / "sweep", environment, *command) as head,
    ):
        wait_until(lambda: is_training(first), 120)
        dying.kill()
        wait_until(lambda: commands_in(first) == [], 20)
        log = tmp_path / "sweep/log.txt"
        assert head.wait() == 0, log.read_text()
    assert len(list(second.glob("**/clone-*/.dvc/cache"))) == 1

    # Somebody else has only the remotes, too.
    other = shared.clone(tmp_path / "other")
    other.run("git", "remote", "set-url", "origin", tmp_path / "origin.git")
    other.dvc("exp", "pull", "origin", name(9))
    other.dvc("exp", "apply", name(9))
    assert other.repro() == []
    assert other.outputs()["models/hidden.keras"]
