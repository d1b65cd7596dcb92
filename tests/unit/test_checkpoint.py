"""A training that was killed goes on, and ends with the same bytes."""

from pathlib import Path
from typing import Any

import keras
import pytest

from digits import training
from digits.plumbing import paths
from digits.portable import checkpoint, saving
from tests.unit.test_training import build, digits, settings

EPOCHS = 30


class KilledError(Exception):
    pass


def train(
    path: Path, kill_after: int | None = None, **changes: Any
) -> tuple[bytes, dict[str, list[Any]]]:
    """The model and the history of a training that is killed after an epoch."""

    def kill(epoch: int, logs: object) -> None:
        if epoch == kill_after:
            raise KilledError

    def recipe(*given: Any) -> dict[str, Any]:
        callbacks = [
            keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1),
            keras.callbacks.LambdaCallback(on_epoch_begin=kill),
        ]
        return training.recipe(*given) | {"callbacks": callbacks}

    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = build(layers.Dense(50), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.1))
    chosen = settings(epochs=EPOCHS, learning_rate=0.1)
    history = training.fit(model, digits(70), digits(40, seed=1), chosen, True, recipe, str(path))
    return saving.to_bytes(model), history


@pytest.fixture(autouse=True)
def keeping_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "KEPT_EVERY_SECONDS", 0)
    monkeypatch.setattr(paths, "unfinished", lambda name, _: Path(name))


def test_a_training_that_was_killed_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(tmp_path / "whole.npz")
    # The callbacks have acted, so their state counts.
    assert len(whole[1]["epoch"]) < EPOCHS
    path = tmp_path / "state" / "abc.npz"
    for epoch in (1, 2, 5):
        with pytest.raises(KilledError):
            train(path, kill_after=epoch)
        assert path.exists()
    capsys.readouterr()
    assert train(path) == whole
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"epoch 6 of {EPOCHS}, continued"
    assert printed[1].startswith(f"epoch 6/{EPOCHS}  loss ")


def test_nothing_is_kept_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "KEPT_EVERY_SECONDS", 3600)
    with pytest.raises(KilledError):
        train(tmp_path / "abc.npz", kill_after=2)
    assert not list(tmp_path.iterdir())
