"""Whatever is interrupted or killed, and when: the next run ends with the same bytes.

More rounds: ROUNDS=30 python -m pytest tests/slow/test_interruptions.py
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import NamedTuple

import psutil
import pytest

from tests.conftest import Workspace
from tests.pipes import put_pipe, wait_for_reader

# About how long a stage takes on two cores, and `dvc` around it: when it is interrupted.
STAGE_SECONDS = {"prepare": 0.4, "train_linear": 3.5, "train_hidden": 3.5, "evaluate": 4.0}
DVC_SECONDS = 1.0


class Interruption(NamedTuple):
    """A signal to the stage, to dvc, or to both, which is Ctrl-C."""

    stage: str
    target: str
    signal: signal.Signals


ALL = [
    Interruption(stage, target, number)
    for stage in STAGE_SECONDS
    for target, number in (
        ("stage", signal.SIGINT),
        ("stage", signal.SIGTERM),
        ("stage", signal.SIGKILL),
        ("dvc", signal.SIGTERM),
        ("dvc", signal.SIGKILL),
        ("both", signal.SIGINT),
    )
]
ROUNDS = int(os.environ.get("ROUNDS", "6"))
# In steps of 7, which has no factor in common with 24: six rounds see each stage and each signal.
CHOSEN = [ALL[7 * number % len(ALL)] for number in range(ROUNDS)]


def stage_of(dvc: subprocess.Popen[str], stage: str) -> psutil.Process:
    """A stage's process, once `dvc` has started it."""
    command = ["python", "-m", f"stages.{stage}"]
    while dvc.poll() is None:
        for process in psutil.Process(dvc.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.cmdline() == command:
                    return process
        time.sleep(0.01)
    raise AssertionError(f"dvc ended without {stage}: {dvc.communicate()}")


def interrupt(workspace: Workspace, chosen: Interruption, moment: float) -> str:
    """Run a stage through `dvc repro`; interrupt it at `moment`, from 0, its start, to 1, its end.

    Returns what dvc and the stage wrote to standard error.
    """
    command = ("dvc", "repro", "--force", "--single-item", chosen.stage)
    with workspace.start(*command) as dvc:
        if chosen.target == "stage":
            stage = stage_of(dvc, chosen.stage)
            time.sleep(moment * STAGE_SECONDS[chosen.stage])
            with suppress(psutil.NoSuchProcess):
                stage.send_signal(chosen.signal)
        else:
            time.sleep(moment * (STAGE_SECONDS[chosen.stage] + DVC_SECONDS))
            if dvc.poll() is None:
                (os.killpg if chosen.target == "both" else os.kill)(dvc.pid, chosen.signal)
        return dvc.communicate()[1]


@pytest.fixture(scope="module")
def interrupted(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished run that is interrupted again and again."""
    return small_pipeline.copy(tmp_path_factory.mktemp("interrupted"))


@pytest.mark.parametrize(
    "chosen", CHOSEN, ids=lambda chosen: f"{chosen.stage}-{chosen.target}-{chosen[2].name}"
)
def test_the_next_run_ends_as_if_nothing_had_happened(
    small_pipeline: Workspace, interrupted: Workspace, chosen: Interruption
) -> None:
    moment = random.random()  # noqa: S311
    interrupt(interrupted, chosen, moment)

    # A file under its own name is whole.
    undisturbed = small_pipeline.outputs()
    for name, content in undisturbed.items():
        path = interrupted.path / name
        assert not path.exists() or path.read_bytes() == content
    for path in (interrupted.path / ".dvc/cache/files").rglob("*"):
        if path.is_file():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            assert digest == path.parent.name + path.name

    if interrupted.dvc("repro", status=None).returncode:
        # DVC writes dvc.lock and its own lock in place; docs/troubleshooting.md says what to do.
        assert chosen.target == "dvc"
        interrupted.run("git", "restore", "dvc.lock")
        (interrupted.path / ".dvc/tmp/rwlock").unlink(missing_ok=True)
        interrupted.dvc("repro")
    assert interrupted.outputs() == undisturbed
    assert interrupted.lock() == small_pipeline.lock()
    assert interrupted.run("git", "status", "--porcelain").stdout == ""
    assert interrupted.repro() == []


def test_ctrl_c_is_a_line_while_keras_is_imported(small: Workspace) -> None:
    """Standard error is held back then."""
    settings = small.home / ".keras/keras.json"
    small.home.mkdir(exist_ok=True)
    put_pipe(settings)
    with small.start(sys.executable, "-m", "stages.evaluate") as stage:
        with wait_for_reader(settings, stage):
            stage.send_signal(signal.SIGINT)
        assert stage.communicate() == ("", "interrupted\n")
        assert stage.returncode == 130


def test_one_repro_at_a_time(small: Workspace, small_pipeline: Workspace) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    with small.start("dvc", "repro") as dvc:
        stage = stage_of(dvc, "train_linear")
        second = small.dvc("repro", status=255)
        assert f"is busy, it is being blocked by:\n  (PID {dvc.pid}): " in second.stderr
        assert "Traceback" not in second.stderr
        dvc.kill()
        stage.wait()
    small.run("git", "restore", "params.yaml")
    done = small.dvc("repro")
    assert f"(Pid {dvc.pid})" in done.stderr
    assert "Auto removed it from the lock file" in done.stderr
    assert small.outputs() == small_pipeline.outputs()


@pytest.mark.parametrize("written", [0, 1000])
def test_the_remedy_for_a_dvc_lock_cut_short(small: Workspace, written: int) -> None:
    path = small.path / "dvc.lock"
    path.write_bytes(path.read_bytes()[:written])
    assert "dvc.lock" in small.dvc("repro", status=255).stderr
    small.run("git", "restore", "dvc.lock")
    assert small.repro() == []


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ("", "Unable to read RWLock-file '.dvc/tmp/rwlock'"),
        (
            '{{"write": {{"{model}": {{"pid": {pid}, "cmd": "dvc repro"}}}}}}',
            "is busy, it is being",
        ),
    ],
    ids=["cut short", "its number is another process's now"],
)
def test_the_remedies_for_what_a_killed_dvc_leaves(
    small: Workspace, left: str, message: str
) -> None:
    lock, model = small.path / ".dvc/tmp/rwlock", small.path / "models/linear.keras"
    lock.write_text(left.format(model=model, pid=os.getpid()))
    assert message in small.dvc("repro", status=255).stderr
    lock.unlink()
    assert small.repro() == []
