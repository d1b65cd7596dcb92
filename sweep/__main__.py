"""Run experiments, a grid or a search, on the workers of a Dask cluster."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from itertools import count, islice

from digits.plumbing.errors import UserError, first_line
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import redact
from revisions import leaderboard
from sweep import repository

try:
    import dask
    from distributed import CancelledError, Client, Event, Future, get_worker, wait

    from sweep.experiments import Experiments, Search, grid
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup EXTRAS=sweep")

# What workers clone: a URL, a commit, and a folder in it.
Source = tuple[str, str, str]
# What a worker runs. The data are pushed first: an experiment that Git lists has all its files in
# the DVC remote. The previous sweep in this clone may have had a different repository.
SCRIPT = """
PATH="$(dirname "$0"):$PATH" clone=$1 url=$2 commit=$3 folder=$4 name=$5
shift 5
trap 'exit 1' TERM
test -e "$clone" || git clone --quiet "$url" "$clone"
cd "$clone"
git remote set-url origin "$url"
git fetch --quiet origin
git checkout --quiet --force --detach "$commit"
cd "./$folder"
python -m dvc exp run --pull --name "$name" "$@"
python -m tools.push
python -m dvc exp push --no-cache --force origin "$name"
"""


def main() -> None:
    """Run the missing experiments, fetch the metrics, show them. Raises UserError if any failed."""
    parser = argparse.ArgumentParser(prog="python -m sweep", description=__doc__)
    add = parser.add_argument
    add("-S", action="append", required=True, metavar="KEY=VALUES", help="as for dvc exp run")
    add("--trials", type=int, metavar="N", help="search, until there are N; default: run all")
    add("--model", metavar="NAME", help="whose validation accuracy counts in the search")
    add("--seed", type=int, default=1, metavar="N", help="seed of the search; default: 1")
    engine = parser.add_mutually_exclusive_group().add_argument
    engine("--workers", type=int, default=1, metavar="N", help="on this machine; default: 1")
    engine("--scheduler", metavar="URL", help="a different cluster, such as tls://head:8786")
    add("--git-remote", default="origin", metavar="NAME", help="workers clone it; default: origin")
    arguments = parser.parse_args()
    for name in ("workers", "trials"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise UserError(f"--{name} is {value}; must be 1 or more")
    try:
        search = Search(arguments.S, arguments.model, arguments.seed) if arguments.trials else None
        wanted = {} if search else grid(arguments.S)
    # Hydra, OmegaConf, DVC, Optuna and range() raise different errors. The cause explains DVC's.
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"-S {' '.join(arguments.S)}: {reason}") from None
    source = url, commit, _ = repository.pushed(arguments.git_remote)
    finished = repository.fetch(url, commit)
    failed: set[str] = set()
    total, done = len(wanted), len(finished & wanted.keys())
    todo: Experiments = ((name, wanted[name]) for name in wanted if name not in finished)
    if search:
        total, done = arguments.trials, len(search.trials(commit))
        todo = search.proposals(commit, total, failed)
    print(f"{done} of {total} experiments already done", flush=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal may be ignored, as under nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    if done < total:
        if subprocess.run((sys.executable, "-m", "dvc", "push"), check=False).returncode:
            raise UserError("dvc push failed, so workers would lack data")
        with (
            tempfile.TemporaryDirectory(prefix="sweep-") as folder,
            dask.config.set(temporary_directory=folder),
            connect(arguments.scheduler, arguments.workers) as client,
        ):
            print(f"dashboard: {client.dashboard_link}", flush=True)
            run(client, todo, total - done, source, failed)
    print()
    leaderboard.main()
    if search:
        print(f"\n{search.summary(commit)}")
    if failed:
        raise UserError(f"{len(failed)} of {total} experiments failed")


def connect(scheduler: str | None, workers: int) -> Client:
    """Return a client of the cluster at `scheduler`, or of one within this process."""
    # Dask logs tracebacks besides raising errors.
    logging.disable()
    if scheduler:
        try:
            return Client(scheduler)
        # Dask raises TypeError if the address is tls:// and its configuration has no certificate.
        except (OSError, TypeError, ValueError) as error:
            raise UserError(f"--scheduler {scheduler}: {first_line(error)}") from None
    os.environ["TF_NUM_INTRAOP_THREADS"] = str((os.cpu_count() or 1) // workers)
    return Client(
        # Threads are enough, since each experiment is a process of its own.
        processes=False,
        threads_per_worker=workers,
        # Any client that connects can run code: ask for a certificate, made for this cluster alone.
        security=True,
        dashboard_address="127.0.0.1:0",
    )


def run(client: Client, todo: Experiments, total: int, source: Source, failed: set[str]) -> None:
    """Run experiments on all threads, report each as it ends, and add to those that `failed`."""
    stop = Event(client=client)
    running: dict[Future, str] = {}
    try:
        for number in count(1):
            free = max(sum(client.nthreads().values()), 1) - len(running)
            for name, overrides in islice(todo, max(free, 0)):
                task = client.submit(experiment, name, overrides, source, stop, pure=False)
                running[task] = name
            if not running:
                return
            task = wait(list(running), return_when="FIRST_COMPLETED").done.pop()
            name, outcome = running.pop(task), "done"
            if error := task.exception():
                failed.add(name)
                outcome = f"failed:\n{redact(str(error))}"
            print(f"{number}/{total} {name} {outcome}", flush=True)
            repository.fetch(*source[:2])
    except CancelledError:
        raise UserError("the connection to the scheduler was lost") from None
    except KeyboardInterrupt:
        stop.set()
        with suppress(TimeoutError):
            wait(list(running), timeout=10)
        raise


# Dask sends functions of this module by value, so workers need no copy of it.
def experiment(name: str, overrides: list[str], source: Source, stop: Event) -> None:
    """Run SCRIPT on a worker, until `stop` is set. Raises RuntimeError with its last lines."""
    clone = f"{get_worker().local_directory}/clone-{threading.get_ident()}"
    settings = [f"--set-param={override}" for override in overrides]
    command = ["sh", "-ec", SCRIPT, sys.executable, clone, *source, name, *settings]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None:
            if stop.is_set():
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
        log.seek(0)
        lines = [line for line in log.read().splitlines() if line.strip()]
    if process.returncode:
        raise RuntimeError("\n".join(lines[-5:]))


if __name__ == "__main__":
    run_main(main)
