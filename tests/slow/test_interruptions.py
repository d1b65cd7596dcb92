"""A run that is interrupted or killed leaves nothing half-written and disturbs no other."""

import os
import signal

import pytest

from tests.conftest import Workspace


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_next_run_ends_as_if_nothing_had_happened(
    small: Workspace, small_pipeline: Workspace, number: signal.Signals
) -> None:
    small.set_params(**{"train_linear.epochs": 1000})
    with small.start("dvc", "repro", "train_linear") as dvc:
        assert dvc.stdout
        assert any(line.startswith("epoch 1/1000") for line in dvc.stdout)
        # To all of it, as Ctrl-C does.
        os.killpg(dvc.pid, number)
        messages = dvc.communicate()[1]
    if number == signal.SIGINT:
        first, second = messages.splitlines()
        assert first == "interrupted"
        assert second.startswith("ERROR: failed to reproduce 'train_linear'")
    assert not (small.path / "models/linear.keras").exists()
    assert not list(small.path.rglob(".*.part"))

    # All is in the cache.
    small.run("git", "restore", "params.yaml")
    assert small.repro() == []
    assert small.outputs() == small_pipeline.outputs()
    assert small.lock() == small_pipeline.lock()
