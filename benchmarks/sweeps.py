"""Measures what many experiments cost besides training; prints Markdown.

    python -m benchmarks.sweeps

Eight experiments on 1,800 images of MNIST: in DVC's queue with 1 and 2 jobs, in a sweep with 1 and
2 workers. Then what grows with their number: references in Git, objects in the remote, tasks in
the scheduler.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

from benchmarks.__main__ import ROOT, median, run, table
from digits import datasets, files, paths
from digits.run import run_main

GRID = "train_hidden.units=8,16,24,32,40,48,56,64"
EXPERIMENTS = 8
SMALL = ("-S", "prepare.dataset=small", "-S", "prepare.validation_size=300")
NUMBERS = (100, 1000, 10_000)
# A little more than the files that change with the hidden model: ten, with what Git has, too.
OBJECTS_PER_EXPERIMENT = 14


def baseline(folder: Path) -> Path:
    """A repository with a finished, committed run, and its two remotes, in `folder`."""
    # The default DVC remote is in the home folder.
    os.environ["HOME"] = str(folder)
    workspace = folder / "digits"
    run(ROOT, "git", "clone", "--quiet", ".", str(workspace))
    with np.load(ROOT / paths.raw("mnist")) as mnist:
        sizes = zip(datasets.Digits._fields, (1500, 1500, 300, 300), strict=True)
        arrays = {name: mnist[name][:size] for name, size in sizes}
    files.write(workspace / paths.raw("small"), files.array_bytes(arrays))
    run(workspace, "dvc", "exp", "run", *SMALL)
    run(workspace, "git", "add", ".")
    run(workspace, "git", "commit", "--quiet", "--message", "The small data set")
    run(folder, "git", "clone", "--quiet", "--bare", "digits", "origin.git")
    run(workspace, "git", "remote", "set-url", "origin", "../origin.git")
    run(workspace, "git", "fetch", "--quiet", "origin")
    return workspace


def seconds(action: Callable[..., object], *arguments: Any) -> float:
    """What a call takes."""
    started = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - started


def queue(workspace: Path, jobs: int) -> None:
    run(workspace, "dvc", "exp", "run", "--queue", "-S", GRID)
    run(workspace, "dvc", "queue", "start", "--jobs", str(jobs))
    while run(workspace, "dvc", "queue", "status").output.count("Success") < EXPERIMENTS:
        time.sleep(1)


def sweep(workspace: Path, workers: int) -> None:
    run(workspace, sys.executable, "-m", "sweep", "-S", GRID, "--workers", str(workers))


def many_ways(folder: Path) -> str:
    """Eight experiments, four ways, and the two stages that they run, alone."""
    workspace = folder / "baseline/digits"
    stages = sum(
        median(seconds(run, workspace, sys.executable, "-m", stage) for _ in range(3))
        for stage in ("stages.train_hidden", "stages.evaluate")
    )
    rows = [["the two stages alone, one after the other", f"{EXPERIMENTS * stages:.0f}", "-"]]
    for name, way, number in (
        ("dvc queue, 1 job", queue, 1),
        ("dvc queue, 2 jobs", queue, 2),
        ("sweep, 1 worker", sweep, 1),
        ("sweep, 2 workers", sweep, 2),
    ):
        # Each way starts from the same baseline, with nothing that another has run.
        fresh = folder / name
        shutil.copytree(folder / "baseline", fresh, symlinks=True)
        os.environ["HOME"] = str(fresh)
        took = seconds(way, fresh / "digits", number)
        # What an experiment costs besides its stages, where one runs at a time.
        overhead = f"{took / EXPERIMENTS - stages:.1f}" if number == 1 else "-"
        rows.append([name, f"{took:.0f}", overhead])
    return table(["eight experiments", "seconds", "overhead of each (s)"], rows)


def references(folder: Path) -> str:
    """What Git and DVC take over many experiments."""
    workspace = folder / "baseline/digits"
    run(workspace, "dvc", "exp", "run", "--name", "one", "-S", "evaluate.examples=5")
    namespace, one = (
        run(
            workspace, "git", "for-each-ref", f"--format={field}", "refs/exps/*/*/one"
        ).output.strip()
        for field in ("%(refname)", "%(objectname)")
    )
    rows, made = [], 0
    for number in NUMBERS:
        lines = "".join(
            f"create {namespace.removesuffix('one')}e{index} {one}\n"
            for index in range(made, number)
        )
        subprocess.run(
            ["git", "update-ref", "--stdin"], input=lines, text=True, cwd=workspace, check=True
        )
        made = number
        commands = (
            ("git", "push", "--quiet", "origin", "refs/exps/*:refs/exps/*"),
            ("git", "ls-remote", "origin", "refs/exps/*"),
            ("dvc", "exp", "list", "--names-only"),
            *([("dvc", "exp", "show", "--json")] if number <= 1000 else []),
        )
        took = [f"{seconds(run, workspace, *words):.1f}" for words in commands]
        rows.append([str(number), *took, *["-"] * (4 - len(took))])
    header = [
        "experiments",
        "git push of the new ones",
        "git ls-remote",
        "dvc exp list",
        "exp show",
    ]
    return table([f"{name} (s)" if name != "experiments" else name for name in header], rows)


def objects(folder: Path) -> str:
    """What a push takes that finds all it has in a remote that holds much more."""
    workspace = folder / "baseline/digits"
    os.environ["HOME"] = str(folder / "baseline")
    store = folder / "baseline/dvc-storage/digits/files/md5"
    run(workspace, "dvc", "push")
    rows, made = [], 0
    for number in NUMBERS:
        for index in range(made, number * OBJECTS_PER_EXPERIMENT):
            digest = f"{index * 2654435761 % 2**32:08x}{index:024x}"
            path = store / digest[:2] / digest[2:]
            path.parent.mkdir(exist_ok=True)
            path.touch()
        made = number * OBJECTS_PER_EXPERIMENT
        took = median(seconds(run, workspace, "dvc", "push") for _ in range(3))
        rows.append([str(number), str(made), f"{took:.1f}"])
    return table(["experiments", "objects in the remote", "dvc push of nothing new (s)"], rows)


def nothing(client: Client, number: int) -> None:
    client.gather(client.map(abs, range(number), pure=False))


def tasks() -> str:
    """What the scheduler takes for tasks that do nothing."""
    rows = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        nothing(client, NUMBERS[0])
        for number in NUMBERS:
            took = seconds(nothing, client, number)
            rows.append([str(number), f"{took:.1f}"])
    return table(["tasks", "seconds on two workers"], rows)


def main() -> None:
    for role in ("AUTHOR", "COMMITTER"):
        os.environ |= {f"GIT_{role}_NAME": "Bench", f"GIT_{role}_EMAIL": "bench@localhost"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baseline(folder / "baseline")
        for measure in (many_ways, references, objects):
            print(f"{measure(folder)}\n", flush=True)
    print(tasks())


if __name__ == "__main__":
    run_main(main)
