"""`make bench`: measure this project against a plain Keras script; print medians as Markdown."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import yaml
from tabulate import tabulate

from benchmarks import fit
from digits import data
from digits.plumbing import paths
from digits.plumbing.errors import UserError
from digits.plumbing.loader import ROOT
from digits.plumbing.stage import PIPELINE, run_main

FITS = {name: f"python -m benchmarks.fit {way}" for way, name in fit.WAYS.items()}
WRITTEN = "data/prepared models metrics dvc.lock .dvc/cache"
STAGES = {
    name: stage["cmd"]
    for name, stage in yaml.safe_load((ROOT / PIPELINE).read_text("utf-8"))["stages"].items()
}
PROCESSES = {
    "Keras's own fit in one script": "python -m benchmarks.fit keras",
    "dvc repro, everything": f"rm -rf {WRITTEN} && dvc repro",
    "dvc repro, nothing changed": "dvc repro",
} | STAGES
REPETITIONS = 3


# The costs of a command: seconds, the peak memory of its largest process in GB, and its output.
Usage = tuple[float, float, str]


def run(folder: Path, command: str) -> Usage:
    """Run a shell command in `folder`."""
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(["sh", "-c", command], cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read()
    if process.returncode:
        raise UserError(f"{command}: status {process.returncode}\n{output}")
    # macOS counts bytes, Linux kilobytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, used.ru_maxrss * unit / 1e9, output


def in_turn(folder: Path, commands: Mapping[str, str]) -> dict[str, list[Usage]]:
    """Run all commands one after the other, and all of that REPETITIONS times."""
    rounds = [{name: run(folder, commands[name]) for name in commands} for _ in range(REPETITIONS)]
    return {name: [usage[name] for usage in rounds] for name in commands}


def fits(folder: Path) -> Iterator[list[str]]:
    """Yield the rows of five epochs of each model in each way."""
    printed = [
        [json.loads(output.splitlines()[-1]) for _, _, output in usages]
        for usages in in_turn(folder, FITS).values()
    ]
    for label in printed[0][0]:
        seconds = [statistics.median(usage[label] for usage in way) for way in printed]
        yield [label, *(f"{value:.2f} s ({seconds[0] / value:.1f}x)" for value in seconds)]


def processes(folder: Path, commands: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the rows of seconds and peak memory of whole processes."""
    for name, usages in in_turn(folder, commands).items():
        seconds, gigabytes, _ = zip(*usages, strict=True)
        yield [name, *(f"{statistics.median(values):.1f}" for values in (seconds, gigabytes))]


def ten_times_the_images(folder: Path) -> None:
    """Have the stages in `folder` train on ten times as many images, without those held out."""
    raw = data.read_raw("mnist")
    x, y = (np.repeat(array[:55_500], 10, 0) for array in (raw.x_train, raw.y_train))
    repeated = raw._replace(x_train=x, y_train=y)
    np.savez(folder / paths.raw("ten"), **repeated._asdict())
    params = folder / paths.PARAMS
    params.write_text(params.read_text().replace("dataset: mnist", "dataset: ten"))


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    name = text.partition("model name")[2].partition("\n")[0].strip("\t: ")
    python = f"Python {platform.python_version()}"
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {python}"


def main() -> None:
    taken = ["seconds", "peak memory (GB)"]
    print(f"{machine()}; medians of {REPETITIONS}.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "digits"
        run(ROOT, f"git clone --quiet . {folder}")
        show(["five epochs, compilation included", *FITS], fits(folder))
        show(["whole processes", *taken], processes(folder, PROCESSES))
        ten_times_the_images(folder)
        show(["ten times the training images", *taken], processes(folder, STAGES))


def show(header: list[str], rows: Iterator[list[str]]) -> None:
    table = tabulate(list(rows), header, "pipe", disable_numparse=True, stralign="right")
    print(f"\n{table}", flush=True)


if __name__ == "__main__":
    run_main(main)
