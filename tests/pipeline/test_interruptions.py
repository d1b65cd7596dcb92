"""Ctrl-C during a training; tests/slow interrupts every stage at random."""

import os
import signal
from typing import IO

from tests.conftest import Workspace


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
