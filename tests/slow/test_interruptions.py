"""Whatever is interrupted or killed, and when: the next run ends with the same bytes.

More rounds: ROUNDS=30 python -m pytest tests/slow/test_interruptions.py
"""

import hashlib
import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import IO

import psutil
import pytest

from tests.conftest import STAGES, Workspace
from tests.pipes import put_pipe, wait_for_reader

# About how long `dvc repro` of one stage takes on two cores.
SECONDS = {"prepare": 1.4, "train_linear": 4.5, "train_hidden": 4.5, "evaluate": 5.0}
# A signal to the stage, to dvc, or to both, which is Ctrl-C.
ALL = [
    (stage, target, number)
    for stage in STAGES
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


@pytest.fixture(scope="module")
def interrupted(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished run that is interrupted again and again."""
    return small_pipeline.copy(tmp_path_factory.mktemp("interrupted"))


@pytest.mark.parametrize(("stage", "target", "number"), CHOSEN)
def test_the_next_run_ends_as_if_nothing_had_happened(
    small_pipeline: Workspace,
    interrupted: Workspace,
    stage: str,
    target: str,
    number: signal.Signals,
) -> None:
    with interrupted.start("dvc", "repro", "--force", "--single-item", stage) as dvc:
        time.sleep(random.random() * SECONDS[stage])  # noqa: S311
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if target == "both":
                os.killpg(dvc.pid, number)
            else:
                started = psutil.Process(dvc.pid)
                # Before it has started the stage, dvc stands in for it.
                (started, *started.children(recursive=True))[-(target == "stage")].send_signal(
                    number
                )
        dvc.communicate()

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
        interrupted.run("git", "restore", "dvc.lock")
        (interrupted.path / ".dvc/tmp/rwlock").unlink(missing_ok=True)
        interrupted.dvc("repro")
    assert interrupted.outputs() == undisturbed
    assert interrupted.lock() == small_pipeline.lock()
    assert interrupted.run("git", "status", "--porcelain").stdout == ""
    assert interrupted.repro() == []


def wait_for_epoch(output: IO[str] | None) -> None:
    assert output
    assert any(line.startswith("epoch 1/1000") for line in output)


def test_ctrl_c_is_a_line_and_leaves_no_model(small: Workspace, small_pipeline: Workspace) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    with small.start("dvc", "repro", "train_linear") as dvc:
        wait_for_epoch(dvc.stdout)
        os.killpg(dvc.pid, signal.SIGINT)
        messages = dvc.communicate()[1].splitlines()
    # dash, unlike bash, stays above the stage and is ended by the signal itself: -2.
    failed = "ERROR: failed to reproduce 'train_linear': failed to run: python -m "
    assert messages in (
        ["interrupted", f"{failed}stages.train_linear, exited with {status}"]
        for status in (130, -2)
    )
    assert not (small.path / "models/linear.keras").exists()
    assert not list(small.path.rglob(".*.part"))

    # All is in the cache.
    small.run("git", "restore", "params.yaml")
    assert small.repro() == []
    assert small.outputs() == small_pipeline.outputs()
    assert small.lock() == small_pipeline.lock()


def test_a_stage_whose_dvc_was_killed_goes_on_and_disturbs_nothing(
    small: Workspace, small_pipeline: Workspace
) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    with small.start("dvc", "repro", "train_linear") as dvc:
        wait_for_epoch(dvc.stdout)
        dvc.kill()
        dvc.wait()
        small.run("git", "restore", "params.yaml")
        assert small.repro("--force", "--single-item", "train_linear") == ["train_linear"]
        assert dvc.stdout and dvc.stdout.readline().startswith("epoch ")
    assert small.outputs() == small_pipeline.outputs()
    assert small.lock() == small_pipeline.lock()


def test_ctrl_c_is_a_line_while_keras_is_imported(small: Workspace) -> None:
    """Standard error is held back then."""
    settings = small.home / ".keras/keras.json"
    put_pipe(settings)
    with small.start(sys.executable, "-m", "stages.evaluate") as stage:
        with wait_for_reader(settings, stage):
            stage.send_signal(signal.SIGINT)
        assert stage.communicate() == ("", "interrupted\n")
        assert stage.returncode == 130


@pytest.mark.parametrize(
    ("file", "left", "message"),
    [
        ("dvc.lock", "", "dvc.lock"),
        ("dvc.lock", "schema: '2.0'\nstages:\n  prepare:\n    deps:\n    - path", "dvc.lock"),
        (".dvc/tmp/rwlock", "", "Unable to read RWLock-file '.dvc/tmp/rwlock'"),
        (
            ".dvc/tmp/rwlock",
            '{"write": {"FOLDER/models/linear.keras": {"pid": PID, "cmd": "dvc"}}}',
            "is busy, it is being blocked by",
        ),
    ],
)
def test_what_to_do_about_what_a_killed_dvc_leaves(
    small: Workspace, file: str, left: str, message: str
) -> None:
    # This process stands in for a DVC that is still there.
    (small.path / file).write_text(
        left.replace("FOLDER", str(small.path)).replace("PID", str(os.getpid()))
    )
    assert message in small.dvc("repro", status=255).stderr
    if file == "dvc.lock":
        small.run("git", "restore", file)
    else:
        (small.path / file).unlink()
    assert small.repro() == []
