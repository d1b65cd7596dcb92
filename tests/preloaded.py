"""`python -m MODULE` in a fork of a process that has imported DVC: half a second less each time."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Nothing that reads the environment or the home folder when it is imported.
IMPORTED = (
    "dvc.api",
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.repo.experiments",
    "dvc.repo.status",
    "dvc.stage.cache",
    "dvc_render.html",
    "numpy",
    "pydantic",
    "ruamel.yaml",
)


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """What the module, found from `folder` on, exits with and prints."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED, __name__])
    with tempfile.TemporaryDirectory() as printed:
        stdout, stderr = Path(printed, "stdout"), Path(printed, "stderr")
        process = context.Process(
            target=_run, args=(module, arguments, folder, environment, stdout, stderr)
        )
        process.start()
        process.join()
        status = process.exitcode or 0
        return subprocess.CompletedProcess(
            [module, *arguments], status, stdout.read_text(), stderr.read_text()
        )


def _run(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    stdout: Path,
    stderr: Path,
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.path.insert(0, str(folder))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
