"""Run a grid of experiments on the workers of a Dask cluster.

Each worker has a clone of its own: code, data and results travel through the Git and DVC remotes.
"""

import argparse
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from stages.lib import runtime
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

SECONDS_TO_CONNECT = 10
SECONDS_TO_STOP = 10


def main() -> None:
    # Ctrl-C is an exception here: what has finished is still to be collected.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sweep(parse())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def sweep(arguments: argparse.Namespace) -> None:
    """Run what is not done yet, fetch the results, show them. Raises UserError if any failed."""
    wanted = grid.experiments(arguments.set_param)
    origin = source.pushed(arguments.git_remote)
    finished = source.finished(arguments.git_remote, origin.commit)
    todo = [experiment for experiment in wanted if experiment.name not in finished]
    print(f"{len(wanted)} experiments, {len(wanted) - len(todo)} of them done already", flush=True)
    failures: dict[str, str] = {}
    if todo:
        dvc("push", "--quiet")
        with cluster(arguments.scheduler, arguments.workers) as client:
            print(f"dashboard: {client.dashboard_link}", flush=True)
            try:
                run(client, todo, origin, failures)
            finally:
                collect(wanted, origin.commit, arguments.git_remote)
    else:
        collect(wanted, origin.commit, arguments.git_remote)
    for name, error in failures.items():
        print(f"\n{name} failed:\n{error}", file=sys.stderr)
    if failures:
        raise UserError(f"{len(failures)} of {len(wanted)} experiments failed")


def parse() -> argparse.Namespace:
    """The command line."""
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
    return parser.parse_args()


@contextmanager
def cluster(scheduler: str | None, workers: int) -> Iterator[Client]:
    """A client of the cluster at `scheduler`, or of one on this machine that ends with it.

    Raises UserError if no scheduler answers there.
    """
    # Neither the scheduler nor the workers need a copy of this package.
    cloudpickle.register_pickle_by_value(worker)
    with ExitStack() as stack:
        if scheduler:
            try:
                client = stack.enter_context(Client(scheduler, timeout=SECONDS_TO_CONNECT))
            except OSError:
                raise UserError(f"{scheduler}: no scheduler answers; see dask scheduler") from None
        else:
            threads = max(runtime.FEWEST_THREADS, (os.cpu_count() or 0) // workers)
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                local_directory=stack.enter_context(tempfile.TemporaryDirectory(prefix="sweep-")),
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                env={"TF_NUM_INTRAOP_THREADS": str(threads)},
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
            # Ctrl-C reaches every process of the terminal; the head alone decides what ends.
            client.register_plugin(worker.IgnoreInterrupt())
        yield client


def run(
    client: Client, todo: Sequence[grid.Experiment], origin: Source, failures: dict[str, str]
) -> None:
    """Run the experiments, report each as it ends, add the errors of those that fail."""
    stop = Event(f"stop-{uuid.uuid4()}", client)

    def task(*arguments: Any) -> float:
        # A function within a function goes by value, and with it the module that it calls.
        return worker.experiment(*arguments)

    futures = {
        client.submit(task, *experiment, *origin, stop.name, pure=False): experiment
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


def collect(wanted: Sequence[grid.Experiment], commit: str, git_remote: str) -> None:
    """Fetch the metrics of what is done and not here, and show all; data and models stay there."""
    names = {experiment.name for experiment in wanted} & source.finished(git_remote, commit)
    missing = sorted(names - source.collected(commit))
    if missing:
        dvc("exp", "pull", "--quiet", "--no-cache", git_remote, *missing)
    print(f"\n{leaderboard.leaderboard(leaderboard.exp_show([]))}")


def dvc(*arguments: str) -> None:
    """Run a DVC command. Raises UserError where it fails; DVC has said why."""
    if subprocess.run(["dvc", *arguments], check=False).returncode:
        raise UserError(f"dvc {arguments[0]} failed")


if __name__ == "__main__":
    report(main)
