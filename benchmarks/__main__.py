"""`make bench`: measure this project against a plain Keras script, on this machine.

    python -m benchmarks [--out FOLDER] [--repetitions N]

Everything runs in processes of their own, in turn, on MNIST; the numbers are medians. Prints
Markdown; with --out, writes bench.md and bench.json there as well.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from digits import data, files, formats, paths
from digits.errors import UserError
from digits.stage import ROOT, run_main

WAYS = {
    "keras": "Keras's own fit",
    "compiled": "Keras, compiled",
    "portable": "this project, portable",
    "fastest": "this project, fastest",
}
MODELS = ("linear", "hidden")
STAGES = ("prepare", "train_linear", "train_hidden", "evaluate")
GROWTH = (1, 2, 4, 10)


class Usage(NamedTuple):
    """What a process and its children took, and what they printed."""

    seconds: float
    cpu_seconds: float
    megabytes: float  # peak memory of the largest process
    output: str


def run(folder: Path, *command: str) -> Usage:
    """Run a command in `folder` with this interpreter's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | {"PATH": path}, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise UserError(f"{' '.join(command)}: status {process.returncode}\n{text}")
    # macOS counts bytes, Linux kilobytes.
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Usage(seconds, usage.ru_utime + usage.ru_stime, peak, text)


def python(folder: Path, module: str, *arguments: str) -> Usage:
    return run(folder, sys.executable, "-m", module, *arguments)


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def fits(workspace: Path, repetitions: int) -> list[list[Any]]:
    """Rows: five epochs of each model in each way, the ways in turn."""
    runs: dict[str, list[Any]] = {way: [] for way in WAYS}
    for _ in range(repetitions):
        for way in WAYS:
            output = python(workspace, "benchmarks.fit", way).output
            runs[way].append(json.loads(output.splitlines()[-1]))

    def row(label: str, value: Callable[[Any], float]) -> list[Any]:
        seconds = [median(map(value, runs[way])) for way in WAYS]
        return [label, *(f"{found:.2f} s ({seconds[0] / found:.1f}x)" for found in seconds)]

    return [
        *(row(f"{name} model", lambda run, name=name: run[name]["fit"]) for name in MODELS),  # type: ignore[misc]
        row("**both**", lambda run: sum(run[name]["fit"] for name in MODELS)),
        *(
            row(
                f"{name} model, an epoch after the first",
                lambda run, name=name: median(run[name]["epochs"][1:]),  # type: ignore[misc]
            )
            for name in MODELS
        ),
        *(
            [
                f"{name} model, test accuracy",
                *(f"{median(run[name]['accuracy'] for run in runs[way]):.4f}" for way in WAYS),
            ]
            for name in MODELS
        ),
    ]


def processes(workspace: Path, repetitions: int) -> list[list[Any]]:
    """Rows: whole processes, in turn."""
    measured: dict[str, list[Usage]] = {}
    params = workspace / paths.PARAMS
    text = params.read_text()
    for number in range(repetitions):
        for path in ("data/prepared", "models", "metrics", ".dvc/cache"):
            shutil.rmtree(workspace / path, ignore_errors=True)
        (workspace / "dvc.lock").unlink(missing_ok=True)
        for name, command in (
            ("Keras's own fit in one script", (sys.executable, "-m", "benchmarks.fit", "keras")),
            ("dvc repro, everything", ("dvc", "repro")),
            ("dvc repro, nothing changed", ("dvc", "repro")),
            ("dvc repro, train_hidden.units changed", ("dvc", "repro")),
        ):
            if "units" in name:
                params.write_text(text.replace("units: 1000", f"units: {900 + number}"))
            measured.setdefault(name, []).append(run(workspace, *command))
        params.write_text(text)
    return [
        [
            name,
            f"{median(usage.seconds for usage in done):.1f}",
            f"{median(usage.cpu_seconds for usage in done):.1f}",
        ]
        for name, done in measured.items()
    ]


def stages(workspace: Path, repetitions: int) -> list[list[Any]]:
    """Rows: each stage as a process of its own."""
    usages: dict[str, list[Usage]] = {stage: [] for stage in STAGES}
    for _ in range(repetitions):
        for stage in STAGES:
            usages[stage].append(python(workspace, f"stages.{stage}"))
    return [
        [
            stage,
            f"{median(usage.seconds for usage in done):.1f}",
            f"{median(usage.cpu_seconds for usage in done):.1f}",
            f"{max(usage.megabytes for usage in done):.0f}",
        ]
        for stage, done in usages.items()
    ]


def growth(workspace: Path) -> list[list[Any]]:
    """Rows: one epoch of training, and evaluating, with ever more training images."""
    params = workspace / paths.PARAMS
    params.write_text(params.read_text().replace("epochs: 5", "epochs: 1"))
    prepared = workspace / paths.prepared("train")
    arrays = formats.parse_arrays(prepared.read_bytes(), "train", data.Split._fields)
    rows = []
    for times in GROWTH:
        repeated = {
            "images": np.tile(arrays["images"], (times, 1)),
            "labels": np.tile(arrays["labels"], times),
        }
        files.write(prepared, formats.array_bytes(repeated))
        del repeated
        usages = [python(workspace, f"stages.{stage}") for stage in STAGES[1:]]
        cells = (f"{usage.seconds:.1f} s, {usage.megabytes:.0f} MB" for usage in usages)
        rows.append([f"{times} x", *cells])
    return rows


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{model}, {cores} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for bench.md and bench.json")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    n = arguments.repetitions
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "digits"
        run(ROOT, "git", "clone", "--quiet", ".", str(workspace))
        seconds = ["seconds", "CPU seconds"]
        tables = [
            (["five epochs, compilation included", *WAYS.values()], fits(workspace, n)),
            (["whole processes", *seconds], processes(workspace, n)),
            (["stage", *seconds, "peak memory (MB)"], stages(workspace, n)),
            (["training images, one epoch", *STAGES[1:]], growth(workspace)),
        ]
    text = "\n\n".join(
        [
            f"{machine()}; medians of {n}.",
            *(
                tabulate(rows, header, tablefmt="pipe", disable_numparse=True, stralign="right")
                for header, rows in tables
            ),
        ]
    )
    print(text)
    if arguments.out:
        results = {header[0]: {"header": header, "rows": rows} for header, rows in tables}
        files.write(arguments.out / "bench.json", formats.json_bytes(results))
        files.write(arguments.out / "bench.md", f"{text}\n".encode())


if __name__ == "__main__":
    run_main(main)
