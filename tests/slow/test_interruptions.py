"""A run that is interrupted or killed leaves nothing half-written and disturbs no other."""

import os
import signal
import sys

import pytest

from tests.conftest import COUNT_LINES, Workspace

CALLBACKS = "keras.callbacks.EarlyStopping(patience=20, restore_best_weights=True), "
CALLBACKS += "keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1)"
LAYERS = "keras.layers.BatchNormalization(momentum=0.5), keras.layers.Dropout(0.1)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_next_run_ends_as_if_nothing_had_happened(
    small: Workspace, small_pipeline: Workspace, number: signal.Signals
) -> None:
    small.set_params(**{"train_hidden.epochs": 1000})
    with small.start("dvc", "repro", "train_hidden") as dvc:
        assert dvc.stdout
        assert any(line.startswith("epoch 1/1000") for line in dvc.stdout)
        # To all of it, as Ctrl-C does.
        os.killpg(dvc.pid, number)
        messages = dvc.communicate()[1]
    if number == signal.SIGINT:
        assert messages.startswith("ERROR: failed to reproduce 'train_hidden'")
        assert messages.count("\n") == 1
    assert not (small.path / "models/hidden.keras").exists()
    assert not list(small.path.rglob(".*.part"))
    # A training is kept after 30 seconds.
    assert not (small.path / ".unfinished").exists()

    # All is in the cache.
    small.run("git", "restore", "params.yaml")
    assert small.repro() == []
    assert small.outputs() == small_pipeline.outputs()
    assert small.lock() == small_pipeline.lock()


def test_a_training_that_was_killed_goes_on(small: Workspace) -> None:
    """With layers and callbacks that have a state of their own."""
    for name, old, new in (
        ("digits/portable/checkpoint.py", "KEPT_EVERY_SECONDS = 30", "KEPT_EVERY_SECONDS = 0"),
        ("digits/training.py", '"callbacks": []', f'"callbacks": [{CALLBACKS}]'),
        ("stages/train_hidden.py", "keras.layers.Dense(", f"{LAYERS}, keras.layers.Dense("),
    ):
        small.edit(name, old, new)
    small.set_params(**{"train_hidden.epochs": 300, "train_hidden.learning_rate": 0.1})
    results = [small.path / "models/hidden.keras", small.path / "metrics/history/hidden.csv"]

    def first_epoch(kill_at: int | None = None) -> str:
        """Train, and kill it at an epoch; return the first line about epochs."""
        with small.start(sys.executable, "-m", "stages.train_hidden", **COUNT_LINES) as stage:
            assert stage.stdout
            first = next(stage.stdout)
            # Without such a line, it is read to the end.
            if any(line.startswith(f"epoch {kill_at}/") for line in stage.stdout):
                os.killpg(stage.pid, signal.SIGKILL)
        return first

    assert first_epoch().startswith("epoch 1/300")
    whole = [path.read_bytes() for path in results]
    # The callbacks have acted.
    assert 20 < whole[1].count(b"\n") < 300
    assert first_epoch(kill_at=4).startswith("epoch 1/300")
    assert first_epoch(kill_at=12).endswith(" of 300, continued\n")
    assert first_epoch().endswith(" of 300, continued\n")
    assert [path.read_bytes() for path in results] == whole
    assert first_epoch(kill_at=4).startswith("epoch 1/300")
    small.set_params(**{"train_hidden.seed": 2})
    assert first_epoch(kill_at=4).startswith("epoch 1/300")
    with (small.path / "digits/portable/layers.py").open("a") as layers:
        layers.write("# changed\n")
    assert first_epoch(kill_at=4).startswith("epoch 1/300")
    assert len(list(small.path.glob(".unfinished/hidden/*.npz"))) == 1
    assert small.run("git", "status", "--porcelain", ".unfinished").stdout == ""
