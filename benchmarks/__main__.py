"""`make bench`: measure this project against a plain Keras script, on this machine.

    python -m benchmarks [--out FOLDER] [--repetitions N]

Everything runs in processes of their own, in turn, on MNIST; the numbers are medians.
Prints Markdown; with --out, writes bench.md and bench.json there as well.
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

from digits import files, params, paths
from digits.errors import UserError
from digits.run import run_main

ROOT = Path(__file__).parents[1]
WAYS = ("stock", "portable", "fastest")
STAGES = ("prepare", "train_linear", "train_hidden", "evaluate")
GROWTH = (1, 2, 4, 10)


class Usage(NamedTuple):
    """What a process took: wall-clock seconds, and peak memory in MB (its largest child's)."""

    seconds: float
    megabytes: float
    output: str


def run(folder: Path, *command: str) -> Usage:
    """Run a command in `folder` with this interpreter's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    output, errors = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise UserError(f"{' '.join(command)}: status {process.returncode}\n{output}\n{errors}")
    return Usage(seconds, 0, output)


def python(folder: Path, module: str, *arguments: str) -> Usage:
    """Run a module; its peak memory comes from a parent that has no other child."""
    watch = (
        "import resource, subprocess, sys; "
        "subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    usage = run(folder, sys.executable, "-c", watch, sys.executable, "-m", module, *arguments)
    *output, peak = usage.output.splitlines()
    return usage._replace(megabytes=int(peak) / 1024, output="\n".join(output))


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def fits(workspace: Path, repetitions: int) -> dict[str, Any]:
    """Five epochs of both models, three ways in turn."""
    runs: dict[str, list[Any]] = {way: [] for way in WAYS}
    for _ in range(repetitions):
        for way in WAYS:
            output = python(workspace, "benchmarks.fit", way, "data/prepared").output
            runs[way].append(json.loads(output.splitlines()[-1]))
    return {
        way: {
            "both_fits": median(run["linear"]["fit"] + run["hidden"]["fit"] for run in done),
            **{
                f"{model}_{what}": median(value(run[model]) for run in done)
                for model in paths.MODELS
                for what, value in (
                    ("fit", lambda run: run["fit"]),
                    ("epoch", lambda run: median(run["epochs"][1:])),
                )
            },
        }
        for way, done in runs.items()
    }


def floor(workspace: Path, repetitions: int) -> dict[str, dict[str, float]]:
    """What benchmarks/floor.py measures, the ways in turn."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS[1:]}
    for _ in range(repetitions):
        for way in WAYS[1:]:
            output = python(workspace, "benchmarks.floor", way, "data/prepared").output
            runs[way].append(json.loads(output.splitlines()[-1]))
    return {
        way: {what: median(run[what] for run in done) for what in done[0]}
        for way, done in runs.items()
    }


def processes(workspace: Path, repetitions: int) -> dict[str, float]:
    """Whole processes, in turn: cold and no-op `dvc repro`, and the notebook's script."""
    empty = workspace.parent / "empty"
    empty.mkdir()
    run(empty, "git", "init", "--quiet")
    run(empty, "dvc", "init", "--quiet")
    (empty / "dvc.yaml").write_text("stages: {}\n")
    raw = str(paths.raw("mnist"))
    measured: dict[str, list[float]] = {}

    def measure(name: str, action: Callable[[], Usage]) -> None:
        measured.setdefault(name, []).append(action().seconds)

    for number in range(repetitions):
        for path in ("data/prepared", "models", "metrics", ".dvc/cache", "dvc.lock"):
            target = workspace / path
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        measure("cold repro", lambda: run(workspace, "dvc", "repro"))
        measure("notebook script", lambda: python(workspace, "benchmarks.notebook_way", raw))
        measure("no-op repro", lambda: run(workspace, "dvc", "repro"))
        measure("repro in an empty repository", lambda: run(empty, "dvc", "repro"))
        text = (workspace / params.PATH).read_text()
        units = f"units: {900 + number}"
        (workspace / params.PATH).write_text(text.replace("units: 1000", units))
        measure("repro after changing units", lambda: run(workspace, "dvc", "repro"))
        (workspace / params.PATH).write_text(text)
    return {name: median(values) for name, values in measured.items()}


def stages(workspace: Path, repetitions: int) -> dict[str, dict[str, float]]:
    """Each stage as a process of its own."""
    usages: dict[str, list[Usage]] = {stage: [] for stage in STAGES}
    for _ in range(repetitions):
        for stage in STAGES:
            usages[stage].append(python(workspace, f"stages.{stage}"))
    return {
        stage: {
            "seconds": median(usage.seconds for usage in done),
            "megabytes": max(usage.megabytes for usage in done),
        }
        for stage, done in usages.items()
    }


def growth(workspace: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Training for one epoch and evaluating with 1, 2, 4 and 10 times the training images."""
    text = (workspace / params.PATH).read_text()
    (workspace / params.PATH).write_text(text.replace("epochs: 5", "epochs: 1"))
    names = ("images", "labels")
    images, labels = files.read_arrays(workspace / paths.prepared("train"), names)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for times in GROWTH:
        repeated = {"images": np.tile(images, (times, 1)), "labels": np.tile(labels, times)}
        files.write(workspace / paths.prepared("train"), files.array_bytes(repeated))
        del repeated
        results[str(times)] = {}
        for stage in STAGES[1:]:
            usage = python(workspace, f"stages.{stage}")
            results[str(times)][stage] = {
                "seconds": usage.seconds,
                "megabytes": usage.megabytes,
            }
    (workspace / params.PATH).write_text(text)
    return results


def machine() -> dict[str, str]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model,
        "cores": str(cores),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(results: dict[str, Any]) -> str:
    fit, rates, whole = results["fit"], results["floor"], results["processes"]
    stock = fit["stock"]
    flops = rates["portable"]["flops"]
    return "\n\n".join(
        [
            f"{results['machine']['processor']}, {results['machine']['cores']} cores, "
            f"{results['machine']['system']}; medians of {results['repetitions']}.",
            table(
                ["five epochs, compilation included", *WAYS],
                [
                    [
                        label,
                        *(
                            f"{fit[way][key]:.2f} s ({stock[key] / fit[way][key]:.1f}x)"
                            for way in WAYS
                        ),
                    ]
                    for label, key in (
                        ("linear model", "linear_fit"),
                        ("hidden model", "hidden_fit"),
                        ("**both**", "both_fits"),
                        ("linear model, an epoch after the first", "linear_epoch"),
                        ("hidden model, an epoch after the first", "hidden_epoch"),
                    )
                ],
            ),
            table(
                [f"floor of the hidden model's epoch ({flops / 1e9:.0f} GFLOP)", *WAYS[1:]],
                [
                    ["rate, large matrices (GFLOP/s)"]
                    + [f"{rates[way]['square']:.0f}" for way in WAYS[1:]],
                    ["rate, this training's products (GFLOP/s)"]
                    + [f"{rates[way]['batch']:.0f}" for way in WAYS[1:]],
                    ["an epoch, measured in turn with the first rate"]
                    + [f"{rates[way]['epoch']:.2f} s" for way in WAYS[1:]],
                    ["epoch above the floor at the first rate"]
                    + [f"{rates[way]['above_floor']:.2f}x" for way in WAYS[1:]],
                    ["epoch above the floor at the second rate"]
                    + [
                        f"{rates[way]['epoch'] * rates[way]['batch'] * 1e9 / flops:.2f}x"
                        for way in WAYS[1:]
                    ],
                ],
            ),
            table(
                ["whole processes", "seconds", "of the notebook script"],
                [
                    [name, f"{seconds:.2f}", f"{seconds / whole['notebook script']:.2f}"]
                    for name, seconds in whole.items()
                ],
            ),
            table(
                ["stage", "seconds", "peak memory (MB)"],
                [
                    [stage, f"{usage['seconds']:.2f}", f"{usage['megabytes']:.0f}"]
                    for stage, usage in results["stages"].items()
                ],
            ),
            table(
                ["training images, one epoch", *STAGES[1:]],
                [
                    [f"{times} x"]
                    + [
                        f"{usages[stage]['seconds']:.1f} s, {usages[stage]['megabytes']:.0f} MB"
                        for stage in STAGES[1:]
                    ]
                    for times, usages in results["growth"].items()
                ],
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for bench.md and bench.json")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "digits"
        run(ROOT, "git", "clone", "--quiet", ".", str(workspace))
        n = arguments.repetitions
        results: dict[str, Any] = {"machine": machine(), "repetitions": n}
        results["processes"] = processes(workspace, n)
        results["stages"] = stages(workspace, n)
        results["fit"] = fits(workspace, n)
        results["floor"] = floor(workspace, n)
        results["growth"] = growth(workspace)

    text = markdown(results)
    print(text)
    if arguments.out:
        files.write(arguments.out / "bench.json", files.json_bytes(results))
        files.write(arguments.out / "bench.md", f"{text}\n".encode())


if __name__ == "__main__":
    run_main(main)
