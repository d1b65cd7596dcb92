"""Whatever is ended, and when: no file passes for more than it is, and the next run ends well.

More rounds than `make test` plays: ROUNDS=30 python -m pytest tests/pipeline/test_interruptions.py
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Workspace

# How long a stage takes on two cores, and how long `dvc` takes around it: where blows fall.
STAGE_SECONDS = {"prepare": 0.4, "train_linear": 3.5, "train_hidden": 3.5, "evaluate": 4.0}
DVC_SECONDS = 1.0


class Blow(NamedTuple):
    """A signal to the stage, to dvc, or to both, which is Ctrl-C."""

    stage: str
    victim: str
    signal: signal.Signals


EVERY_BLOW = [
    Blow(stage, victim, number)
    for stage in STAGE_SECONDS
    for victim, number in (
        ("stage", signal.SIGINT),
        ("stage", signal.SIGTERM),
        ("stage", signal.SIGKILL),
        ("dvc", signal.SIGTERM),
        ("dvc", signal.SIGKILL),
        ("both", signal.SIGINT),
    )
]
ROUNDS = int(os.environ.get("ROUNDS", "6"))
# In steps of 7, which has no factor in common with 24: six rounds see each stage and each blow.
BLOWS = [EVERY_BLOW[7 * number % len(EVERY_BLOW)] for number in range(ROUNDS)]


@contextmanager
def started(workspace: Workspace, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a shell starts it; its stage ends with it."""
    process = subprocess.Popen(
        command,
        cwd=workspace.path,
        env=workspace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def stage_of(dvc: subprocess.Popen[str], stage: str) -> int:
    """The number of a stage's process, once `dvc` has started it."""
    command = f"python\0-m\0stages.{stage}\0".encode()
    while dvc.poll() is None:
        for process in Path("/proc").glob("[0-9]*"):
            # Others come and go meanwhile.
            with suppress(ProcessLookupError, FileNotFoundError):
                same_session = os.getsid(int(process.name)) == dvc.pid
                if same_session and (process / "cmdline").read_bytes() == command:
                    return int(process.name)
        time.sleep(0.01)
    raise AssertionError(f"dvc ended without {stage}")


def strike(workspace: Workspace, blow: Blow, moment: float) -> str:
    """Run a stage through `dvc repro`, ended at `moment`, from 0, its start, to 1, its end.

    Returns what dvc and the stage wrote to standard error.
    """
    command = ("dvc", "repro", "--force", "--single-item", blow.stage)
    with started(workspace, *command) as dvc:
        if blow.victim == "stage":
            stage = stage_of(dvc, blow.stage)
            time.sleep(moment * STAGE_SECONDS[blow.stage])
            with suppress(ProcessLookupError):
                os.kill(stage, blow.signal)
        else:
            time.sleep(moment * (STAGE_SECONDS[blow.stage] + DVC_SECONDS))
            if dvc.poll() is None:
                (os.killpg if blow.victim == "both" else os.kill)(dvc.pid, blow.signal)
        return dvc.communicate()[1]


@pytest.fixture(scope="module")
def struck(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished run that takes one blow after the other."""
    return small_pipeline.copy(tmp_path_factory.mktemp("struck"))


@pytest.mark.parametrize(
    "blow", BLOWS, ids=lambda blow: f"{blow.stage}-{blow.victim}-{blow[2].name}"
)
def test_the_next_run_ends_as_if_nothing_had_happened(
    small_pipeline: Workspace, struck: Workspace, blow: Blow
) -> None:
    moment = random.random()  # noqa: S311
    messages = strike(struck, blow, moment)
    # Python and DVC have tracebacks of their own for a Ctrl-C before they have started.
    assert f'File "{struck.path}' not in messages

    # What is there under its name is whole.
    undisturbed = small_pipeline.outputs()
    for name, content in undisturbed.items():
        path = struck.path / name
        assert not path.exists() or path.read_bytes() == content
    for path in (struck.path / ".dvc/cache/files").rglob("*"):
        if path.is_file():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            assert digest == path.parent.name + path.name

    if struck.dvc("repro", status=None).returncode:
        # DVC writes dvc.lock and its own lock in place; the README tells what to do.
        assert blow.victim == "dvc"
        struck.run("git", "restore", "dvc.lock")
        (struck.path / ".dvc/tmp/rwlock").unlink(missing_ok=True)
        struck.dvc("repro")
    assert struck.outputs() == undisturbed
    assert struck.lock() == small_pipeline.lock()
    assert struck.run("git", "status", "--porcelain").stdout == ""
    assert struck.repro() == []
    assert not list(struck.path.rglob(".*.part*"))


def until(reached: Callable[[], bool]) -> None:
    """Wait a minute at most."""
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(process: int) -> bool:
    """Has it ended, whether or not its parent has taken note?"""
    try:
        return not Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_ctrl_c_is_a_line_while_a_stage_imports(small: Workspace) -> None:
    with (small.path / "stages/lib/params.py").open("a") as file:
        file.write("import time; print('importing', flush=True); time.sleep(60)\n")
    with started(small, sys.executable, "-m", "stages.evaluate") as stage:
        assert stage.stdout
        assert stage.stdout.readline() == "importing\n"
        stage.send_signal(signal.SIGINT)
        assert stage.communicate() == ("", "interrupted\n")
        assert stage.returncode == 130


def test_ctrl_c_is_a_line_while_tensorflow_is_imported(small: Workspace) -> None:
    """Standard error is kept back then."""
    with started(small, sys.executable, "-m", "stages.evaluate") as stage:
        maps = Path(f"/proc/{stage.pid}/maps")
        until(lambda: "libtensorflow" in maps.read_text())
        stage.send_signal(signal.SIGINT)
        assert stage.communicate() == ("", "interrupted\n")
        assert stage.returncode == 130


def test_ctrl_c_through_dvc_while_a_stage_trains(small: Workspace) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    with started(small, "dvc", "repro", "train_linear") as dvc:
        output = dvc.stdout
        assert output
        until(lambda: output.readline().startswith("epoch 1/1000"))
        os.killpg(dvc.pid, signal.SIGINT)
        messages = dvc.communicate()[1].splitlines()
        assert dvc.returncode == 255
    # dash, unlike bash, stays above the stage and is ended by the signal itself: -2.
    failed = "ERROR: failed to reproduce 'train_linear': failed to run: python -m "
    assert messages in (
        ["interrupted", f"{failed}stages.train_linear, exited with {status}"]
        for status in (130, -2)
    )
    assert not (small.path / "models/linear.keras").exists()


def test_one_repro_at_a_time_and_a_stage_ends_with_its_dvc(
    small: Workspace, small_pipeline: Workspace
) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    with started(small, "dvc", "repro") as dvc:
        stage = stage_of(dvc, "train_linear")
        second = small.dvc("repro", status=255)
        assert "is busy, it is being blocked by" in second.stderr
        assert f"(PID {dvc.pid}): " in second.stderr
        assert "Traceback" not in second.stderr
        dvc.kill()
        dvc.wait()
        # Else it would go on for a minute, and write its model into the next run's results.
        until(lambda: ended(stage))
    small.run("git", "checkout", "--quiet", "params.yaml")
    done = small.dvc("repro")
    assert f"(Pid {dvc.pid})" in done.stderr
    assert "Auto removed it from the lock file" in done.stderr
    assert small.outputs() == small_pipeline.outputs()
    assert small.lock() == small_pipeline.lock()


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
