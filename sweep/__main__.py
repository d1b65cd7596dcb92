"""Run a grid of experiments on the workers of a Dask cluster.

Each worker has a clone of its own: code, data and results travel through the Git and DVC remotes.
"""

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from stages.lib.errors import UserError, report
from sweep import grid, source
from sweep.source import Source
from tools import leaderboard

try:
    import cloudpickle
    from distributed import Client, Event, LocalCluster, as_completed, wait

    from sweep import worker
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup-sweep")

FEWEST_THREADS = 2
SECONDS_TO_STOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        required=True,
        metavar="KEY=VALUES",
        help="as for dvc exp run: train_hidden.units=100,300 or train_hidden.seed=range(1,4)",
    )
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument("--workers", type=int, default=1, help="on this machine (default: 1)")
    engine.add_argument("--scheduler", help="address of a running one, as tcp://head:8786")
    parser.add_argument("--git-remote", default="origin", help="default: origin")
    arguments = parser.parse_args()

    wanted = grid.experiments(arguments.set_param)
    origin = source.pushed(arguments.git_remote)
    finished = source.finished(arguments.git_remote, origin.commit)
    todo = [experiment for experiment in wanted if experiment.name not in finished]
    print(f"{len(wanted)} experiments, {len(wanted) - len(todo)} of them done already", flush=True)
    failures: dict[str, str] = {}
    interrupted = False
    if todo:
        dvc("push", "--quiet")
        with cluster(arguments.scheduler, arguments.workers) as client:
            try:
                run(client, todo, origin, failures)
            except KeyboardInterrupt:
                interrupted = True

    finished = source.finished(arguments.git_remote, origin.commit)
    names = {experiment.name for experiment in wanted} & finished
    missing = sorted(names - source.collected(origin.commit))
    if missing:
        # Their metrics are in Git; what DVC tracks can be had with `dvc exp pull`, one by one.
        dvc("exp", "pull", "--quiet", "--no-cache", arguments.git_remote, *missing)
    print(f"\n{leaderboard.leaderboard(leaderboard.exp_show([]))}")
    for name, error in failures.items():
        print(f"\n{name} failed:\n{error}", file=sys.stderr)
    if interrupted:
        raise KeyboardInterrupt
    if failures:
        raise UserError(f"{len(failures)} of {len(wanted)} experiments failed")


@contextmanager
def cluster(scheduler: str | None, workers: int) -> Iterator[Client]:
    """A client of the cluster at `scheduler`, or of one on this machine that ends with it.

    Raises UserError if no scheduler answers there.
    """
    # Workers need no copy of this package: they receive this module with the task.
    cloudpickle.register_pickle_by_value(worker)
    if scheduler:
        try:
            with Client(scheduler) as client:
                print(f"dashboard: {client.dashboard_link}", flush=True)
                yield client
        except OSError:
            raise UserError(f"{scheduler}: no scheduler answers; see dask scheduler") from None
        return
    threads = max(FEWEST_THREADS, (os.cpu_count() or FEWEST_THREADS) // workers)
    with (
        tempfile.TemporaryDirectory(prefix="sweep-") as folder,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            local_directory=folder,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env={"TF_NUM_INTRAOP_THREADS": str(threads)},
        ) as local,
        Client(local) as client,
    ):
        # Ctrl-C reaches every process of the terminal; the head alone decides what ends.
        client.register_plugin(worker.IgnoreInterrupt())
        print(f"dashboard: {client.dashboard_link}", flush=True)
        yield client


def run(
    client: Client, todo: Sequence[grid.Experiment], origin: Source, failures: dict[str, str]
) -> None:
    """Run the experiments, report each as it ends, add the errors of those that fail."""
    stop = Event(f"stop-{uuid.uuid4()}", client)
    futures = {
        client.submit(worker.experiment, *experiment, *origin, stop.name, pure=False): experiment
        for experiment in todo
    }
    seconds: list[float] = []
    try:
        for future in as_completed(futures):
            name = futures[future].name
            if future.status == "finished":
                seconds.append(future.result())
            else:
                failures[name] = str(future.exception())
            threads = sum(client.nthreads().values())
            left = len(todo) - len(seconds) - len(failures)
            time_left = statistics.mean(seconds) * left / max(threads, 1) if seconds else 0
            print(
                f"{name}: {'failed' if name in failures else f'{seconds[-1]:.0f} s'}; "
                f"{len(seconds)} done, {min(threads, left)} running, {len(failures)} failed, "
                f"about {time_left:.0f} s left",
                flush=True,
            )
    except KeyboardInterrupt:
        stop.set()
        with suppress(TimeoutError):
            wait(list(futures), SECONDS_TO_STOP)
        raise


def dvc(*arguments: str) -> None:
    """Run a DVC command. Raises UserError where it fails; DVC has said why."""
    if subprocess.run(["dvc", *arguments], check=False).returncode:
        raise UserError(f"dvc {arguments[0]} failed")


if __name__ == "__main__":
    report(main)
