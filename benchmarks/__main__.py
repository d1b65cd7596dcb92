"""`make bench`: measure this project against a plain Keras script; prints medians as Markdown."""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from benchmarks import fit
from digits import files, formats, paths
from digits.errors import UserError
from digits.stage import ROOT, run_main

FITS = {name: f"python -m benchmarks.fit {way}" for way, name in fit.WAYS.items()}
WRITTEN = "data/prepared models metrics dvc.lock .dvc/cache"
CHANGED = "sed -i.old s/1000/900/ params.yaml && dvc repro && mv params.yaml.old params.yaml"
PROCESSES = {
    "Keras's own fit in one script": FITS[fit.WAYS["keras"]],
    "dvc repro, everything": f"rm -rf {WRITTEN} && dvc repro",
    "dvc repro, nothing changed": "dvc repro",
    "dvc repro, train_hidden.units changed": CHANGED,
}
STAGES = ("prepare", "train_linear", "train_hidden", "evaluate")
GROWTH = (1, 2, 4, 10)
REPETITIONS = 3


class Usage(NamedTuple):
    """The costs of a command: the memory is the peak of its largest process."""

    seconds: float
    cpu_seconds: float
    mebibytes: float
    output: str


def run(folder: Path, command: str) -> Usage:
    """Run a shell command in `folder` with this interpreter's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        shell = ("sh", "-c", command)
        process = subprocess.Popen(shell, cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read()
    if process.returncode:
        raise UserError(f"{command}: status {process.returncode}\n{output}")
    # macOS counts bytes, Linux kilobytes.
    mebibytes = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Usage(seconds, used.ru_utime + used.ru_stime, mebibytes, output)


def in_turn(folder: Path, commands: Mapping[str, str]) -> dict[str, list[Usage]]:
    """Run all commands one after the other, and all of that REPETITIONS times."""
    rounds = [{name: run(folder, commands[name]) for name in commands} for _ in range(REPETITIONS)]
    return {name: [found[name] for found in rounds] for name in commands}


def fits(folder: Path) -> Iterator[list[str]]:
    """Five epochs of each model in each way."""
    printed = [
        [json.loads(usage.output.splitlines()[-1]) for usage in usages]
        for usages in in_turn(folder, FITS).values()
    ]
    for label in printed[0][0]:
        seconds = [statistics.median(found[label] for found in way) for way in printed]
        yield [label, *(f"{found:.2f} s ({seconds[0] / found:.1f}x)" for found in seconds)]


def processes(folder: Path, commands: Mapping[str, str]) -> Iterator[list[str]]:
    """Seconds, CPU seconds and peak memory of whole processes."""
    for name, usages in in_turn(folder, commands).items():
        seconds, cpu_seconds, mebibytes, _ = zip(*usages, strict=True)
        medians = (statistics.median(found) for found in (seconds, cpu_seconds, mebibytes))
        yield [name, *(f"{median:.1f}" for median in medians)]


def growth(folder: Path) -> Iterator[list[str]]:
    """One epoch of training, and evaluating, with ever more training images."""
    params, once = folder / paths.PARAMS, folder / "once.npz"
    params.write_text(params.read_text().replace("epochs: 5", "epochs: 1"))
    shutil.copy(folder / paths.prepared("train"), once)
    for times in GROWTH:
        # In a process of its own: the memory of this one would count as its children's.
        arguments = (once, folder / paths.prepared("train"), times)
        process = multiprocessing.get_context("spawn").Process(target=repeat, args=arguments)
        process.start()
        process.join()
        usages = [run(folder, f"python -m stages.{name}") for name in STAGES[1:]]
        yield [
            f"{times} x",
            *(f"{used.seconds:.1f} s, {used.mebibytes:.0f} MiB" for used in usages),
        ]


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a split that has the images of another one several times."""
    arrays = formats.parse_arrays(source.read_bytes(), str(source), ("images", "labels"))
    repeated = {name: np.concatenate([array] * times) for name, array in arrays.items()}
    target.write_bytes(formats.array_bytes(repeated))


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    name = text.partition("model name")[2].partition("\n")[0].strip("\t: ")
    python = f"Python {platform.python_version()}"
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {python}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for bench.md")
    arguments = parser.parse_args()
    text = f"{machine()}; medians of {REPETITIONS}.\n"
    taken = ["seconds", "CPU seconds", "peak memory (MiB)"]
    stages = {name: f"python -m stages.{name}" for name in STAGES}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "digits"
        run(ROOT, f"git clone --quiet . {folder}")
        for header, rows in (
            (["five epochs, compilation included", *FITS], fits(folder)),
            (["whole processes", *taken], processes(folder, PROCESSES)),
            (["stage", *taken], processes(folder, stages)),
            (["training images, one epoch", *STAGES[1:]], growth(folder)),
        ):
            table = tabulate(list(rows), header, "pipe", disable_numparse=True, stralign="right")
            text += f"\n{table}\n"
    print(text, end="")
    if arguments.out:
        files.write(arguments.out / "bench.md", text.encode())


if __name__ == "__main__":
    run_main(main)
