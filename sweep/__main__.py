"""Run experiments, a grid or a search, on the workers of a Dask cluster."""

import argparse
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice

from digits.plumbing.errors import UserError, first_line
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import redact
from revisions import leaderboard, runs
from sweep import grid, repository

try:
    import cloudpickle
    import dask
    from distributed import Client, Event, as_completed, wait

    from sweep import worker
    from sweep.search import Experiment, Search
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup EXTRAS=sweep")

# The name and the overrides of each experiment.
Todo = Iterator[tuple[str, list[str]]]
# What workers clone: a URL, a commit, and a folder in it.
Source = tuple[str, str, str]


def main() -> None:
    """Run the missing experiments, fetch the metrics, show them. Raises UserError if any failed."""
    parser = argparse.ArgumentParser(prog="python -m sweep", description=__doc__)
    add = parser.add_argument
    add("-S", action="append", required=True, metavar="KEY=VALUES", help="as for dvc exp run")
    add("--trials", type=int, metavar="N", help="search, until there are N; default: run all")
    add(
        "--model", default="", metavar="NAME", help="whose validation accuracy counts in the search"
    )
    add("--seed", type=int, default=1, metavar="N", help="seed of the search; default: 1")
    engine = parser.add_mutually_exclusive_group().add_argument
    engine("--workers", type=int, default=1, metavar="N", help="on this machine; default: 1")
    engine("--scheduler", metavar="URL", help="a different cluster, such as tls://head:8786")
    add("--git-remote", default="origin", metavar="NAME", help="workers clone it; default: origin")
    arguments = parser.parse_args()
    for name in ("workers", "trials"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise UserError(f"--{name} is {value}; must be 1 or more")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A signal may be ignored, as under nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    search = Search(arguments.S, arguments.model, arguments.seed) if arguments.trials else None
    wanted = {} if search else grid.experiments(arguments.S)
    source = _, commit, _ = repository.pushed(arguments.git_remote)
    finished = repository.fetch(arguments.git_remote, commit)

    def there() -> list[Experiment]:
        # Without a connection for a while, the search goes on with those that are here.
        with suppress(UserError):
            repository.fetch(arguments.git_remote, commit)
        return runs.experiments(commit, search.model) if search else []

    failed: set[str] = set()
    total, done = len(wanted), len(finished & set(wanted))
    todo: Todo = ((name, wanted[name]) for name in wanted if name not in finished)
    if search:
        total, done = arguments.trials, len(search.trials(there()))
        todo = search.proposals(total, there, failed)
    print(f"{done} of {total} experiments already done", flush=True)
    if done < total:
        with (
            tempfile.TemporaryDirectory(prefix="sweep-") as temporary,
            dask.config.set(temporary_directory=temporary),
            connect(arguments.scheduler, arguments.workers) as client,
        ):
            print(f"dashboard: {client.dashboard_link}", flush=True)
            repository.run("dvc", "push")
            run(client, todo, total - done, source, failed)
        repository.fetch(arguments.git_remote, commit)
    print()
    leaderboard.main()
    if search:
        print(f"\n{search.summary(there())}")
    if failed:
        raise UserError(f"{len(failed)} of {total} experiments failed")


def connect(scheduler: str | None, workers: int) -> Client:
    """Return a client of the cluster at `scheduler`, or of one within this process."""
    # Workers need no copy of this package.
    cloudpickle.register_pickle_by_value(worker)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
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
        n_workers=1,
        threads_per_worker=workers,
        # Any client that connects can run code: ask for a certificate, made for this cluster alone.
        security=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def run(client: Client, todo: Todo, total: int, source: Source, failed: set[str]) -> None:
    """Run experiments on all threads, report each as it ends, and add to those that `failed`."""
    stop, ended, names = Event(client=client), as_completed(), {}

    # Dask sends a local function by value, and the module `worker` with it.
    def experiment(name: str, overrides: list[str]) -> None:
        worker.experiment(name, overrides, *source, stop)

    try:
        for number in count(1):
            free = max(sum(client.nthreads().values()), 1) - ended.count()
            for name, overrides in islice(todo, max(free, 0)):
                task = client.submit(experiment, name, overrides, pure=False)
                names[task] = name
                ended.add(task)
            if ended.is_empty():
                return
            task = next(ended)
            if task.cancelled():
                raise UserError("the connection to the scheduler was lost")
            outcome = "done"
            if error := task.exception():
                failed.add(names[task])
                outcome = f"failed:\n{redact(str(error))}"
            print(f"{number}/{total} {names[task]} {outcome}", flush=True)
    except KeyboardInterrupt:
        stop.set()
        with suppress(TimeoutError):
            wait(list(names), timeout=10)
        raise


if __name__ == "__main__":
    run_main(main)
