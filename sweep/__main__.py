"""Run a grid of experiments on the workers of a Dask cluster, each in a clone of its own."""

import argparse
import logging
import os
import signal
import sys
import tempfile
from contextlib import suppress

from digits.plumbing.errors import UserError, first_line
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import redact
from revisions import leaderboard
from sweep import grid, repository

try:
    import cloudpickle
    import dask
    from distributed import Client, Event, as_completed, wait

    from sweep import worker
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup EXTRAS=sweep")


def main() -> None:
    """Run the missing experiments, fetch the metrics, show them. Raises UserError if any failed."""
    parser = argparse.ArgumentParser(prog="python -m sweep", description=__doc__)
    parser.add_argument(
        "-S", action="append", required=True, metavar="KEY=VALUES", help="as for dvc exp run"
    )
    engine = parser.add_mutually_exclusive_group().add_argument
    engine("--workers", type=int, default=1, metavar="N", help="on this machine; default: 1")
    engine("--scheduler", metavar="URL", help="another cluster, for example tls://head:8786")
    parser.add_argument("--git-remote", default="origin", metavar="NAME", help="default: origin")
    arguments = parser.parse_args()
    if arguments.workers < 1:
        raise UserError(f"--workers is {arguments.workers}; must be 1 or more")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Ignored under nohup, for example.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    wanted = grid.experiments(arguments.S)
    url, commit, folder = repository.pushed(arguments.git_remote)
    finished = repository.finished(arguments.git_remote, commit)
    todo = {name: overrides for name, overrides in wanted.items() if name not in finished}
    print(f"{len(wanted) - len(todo)} of {len(wanted)} experiments already done", flush=True)
    failed = 0
    if todo:
        with (
            tempfile.TemporaryDirectory(prefix="sweep-") as temporary,
            dask.config.set(temporary_directory=temporary),
            connect(arguments.scheduler, arguments.workers) as client,
        ):
            print(f"dashboard: {client.dashboard_link}", flush=True)
            repository.run("dvc", "push")
            failed = run(client, todo, (url, commit, folder))
    names = sorted(set(wanted) & repository.finished(arguments.git_remote, commit))
    if names:
        # The metrics are in Git. Data and models stay in the DVC remote.
        repository.run("dvc", "exp", "pull", "--force", "--no-cache", arguments.git_remote, *names)
    print()
    leaderboard.main()
    if failed:
        raise UserError(f"{failed} of {len(wanted)} experiments failed")


def connect(scheduler: str | None, workers: int) -> Client:
    """Return a client of the cluster at `scheduler`, or of one within this process."""
    # Workers need no copy of this package.
    cloudpickle.register_pickle_by_value(worker)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if scheduler:
        try:
            return Client(scheduler)
        # A TypeError if the address is tls:// and Dask's configuration has no certificate.
        except (OSError, TypeError, ValueError) as error:
            raise UserError(f"--scheduler {scheduler}: {first_line(error)}") from None
    os.environ["TF_NUM_INTRAOP_THREADS"] = str((os.cpu_count() or 1) // workers)
    return Client(
        # Threads, since experiments are processes of their own.
        processes=False,
        n_workers=1,
        threads_per_worker=workers,
        # Any client that connects can run code: ask for a certificate, made for this cluster alone.
        security=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def run(client: Client, todo: dict[str, list[str]], source: tuple[str, str, str]) -> int:
    """Run the experiments and report each as it ends; returns how many failed."""
    stop = Event(client=client)
    # Dask sends a lambda by value, and the module `worker` with it.
    futures = client.map(
        lambda name, overrides: worker.experiment(name, overrides, *source, stop),
        list(todo),
        list(todo.values()),
        pure=False,
    )
    names = dict(zip(futures, todo, strict=True))
    failed = 0
    try:
        for number, future in enumerate(as_completed(futures), 1):
            if future.cancelled():
                raise UserError("the connection to the scheduler was lost")
            error = future.exception()
            failed += error is not None
            outcome = f"failed:\n{redact(str(error))}" if error else "done"
            print(f"{number}/{len(todo)} {names[future]} {outcome}", flush=True)
    except KeyboardInterrupt:
        stop.set()
        with suppress(TimeoutError):
            wait(futures, timeout=10)
        raise
    return failed


if __name__ == "__main__":
    run_main(main)
