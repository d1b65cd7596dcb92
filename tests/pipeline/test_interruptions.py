"""A stage that is interrupted; tests/slow interrupts at random."""

import os
import signal
from typing import IO

from tests.conftest import Workspace


def wait_for_epoch(output: IO[str] | None) -> None:
    assert output
    assert any(line.startswith("epoch 1/1000") for line in output)


def test_ctrl_c_and_a_killed_dvc_leave_no_model(
    small: Workspace, small_pipeline: Workspace
) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    command = ("dvc", "repro", "train_linear")
    failed = "ERROR: failed to reproduce 'train_linear': failed to run: python -m "

    with small.start(*command) as dvc:
        wait_for_epoch(dvc.stdout)
        os.killpg(dvc.pid, signal.SIGINT)
        messages = dvc.communicate()[1].splitlines()
    # dash, unlike bash, stays above the stage and is ended by the signal itself: -2.
    assert messages in (
        ["interrupted", f"{failed}stages.train_linear, exited with {status}"]
        for status in (130, -2)
    )

    with small.start(*command) as dvc:
        wait_for_epoch(dvc.stdout)
        dvc.kill()
        dvc.wait()
        assert not (small.path / "models/linear.keras").exists()
        # The stage goes on without its DVC, and disturbs nothing.
        small.run("git", "restore", "params.yaml")
        assert small.repro("--force", "--single-item", "train_linear") == ["train_linear"]
        assert dvc.stdout and dvc.stdout.readline().startswith("epoch ")
    assert small.outputs() == small_pipeline.outputs()
    assert small.lock() == small_pipeline.lock()
    assert not list(small.path.rglob(".*.part"))
