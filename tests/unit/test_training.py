"""Training an epoch in one call is the same training."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks.twenty_steps import weights_hash
from digits import data, training
from digits.data import Split
from digits.plumbing import params
from digits.plumbing.errors import UserError
from digits.portable import runtime, trainer
from tests.conftest import ROOT

PIXELS = 20
NOTHING = Split(np.empty((0, PIXELS), np.float32), np.empty(0, np.uint8))


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def settings(**changes: object) -> training.Settings:
    """Those of params.yaml, whatever they are, with changes."""
    group = params.read()["train_hidden"] | {"epochs": 1, "learning_rate": 0.01} | changes
    return training.Settings(**{name: group[name] for name in training.Settings.model_fields})


def digits(n: int, seed: int = 0, pixels: int = PIXELS) -> Split:
    """Noise whose label can be learned: the brightest of the first ten pixels."""
    images = np.random.default_rng(seed).random((n, pixels), np.float32)
    return Split(images, images[:, :10].argmax(axis=1).astype(np.uint8))


def build(*hidden: Any) -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((PIXELS,)), *hidden, layers.Dense(10, "sigmoid")])


def functional() -> Any:
    pixels = keras.Input((PIXELS,))
    return keras.Model(pixels, layers.Dense(10)(layers.BatchNormalization()(pixels)))


def compile_for_training(
    model: Any, chosen: training.Settings, steps_per_epoch: int = 1, **changes: Any
) -> None:
    arguments = training.recipe(chosen, steps_per_epoch) | changes
    arguments.pop("callbacks")
    # Quicker for a few batches.
    model.compile(**arguments, run_eagerly=True)


OWN_LOSS = {
    "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "weighted_metrics": None,
    "metrics": ["accuracy"],
}


@pytest.mark.parametrize(
    ("make", "portable", "n", "batch_size", "recipe"),
    [
        (build, True, 100, 32, {}),
        (lambda: build(layers.Dense(50, "relu")), True, 20, 32, {}),
        (lambda: build(layers.Dense(50, "relu")), False, 9, 1, {}),
        (lambda: build(layers.BatchNormalization()), True, 33, 32, {}),
        (lambda: build(layers.Dense(9, activity_regularizer="l2")), True, 33, 32, {}),
        (functional, True, 33, 32, OWN_LOSS),
        (build, True, 33, 32, OWN_LOSS),
    ],
)
def test_an_epoch_equals_train_on_batch_for_each_batch(
    make: Any, portable: bool, n: int, batch_size: int, recipe: dict[str, Any]
) -> None:
    train, chosen = digits(n), settings(batch_size=batch_size)
    ours, stock = make(), make()
    stock.set_weights(ours.get_weights())
    history = training.fit(
        ours, train, NOTHING, chosen, portable, lambda *given: training.recipe(*given) | recipe
    )

    compile_for_training(stock, chosen, -(-n // batch_size), **recipe)
    losses, right, seen = [], [], []
    for batch in trainer.order(n, batch_size, chosen.seed, 0).numpy():
        rows = batch[batch != trainer.PADDING]
        stock.reset_metrics()
        loss, accuracy = stock.train_on_batch(train.images[rows], train.labels[rows])
        losses += [loss] * len(rows)
        right += [accuracy] * len(rows)
        seen += [*rows]

    assert sorted(seen) == list(range(n))
    for found, expected in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    assert history["accuracy"][0] == pytest.approx(np.mean(right), rel=1e-5)
    assert history["val_loss"] == history["val_accuracy"] == [None]


def test_each_seed_and_each_epoch_has_its_own_order() -> None:
    chosen = ((1, 0), (1, 1), (2, 0), (1, 0))
    first, *others, again = (trainer.order(100, 32, *pair).numpy().tolist() for pair in chosen)
    assert first == again
    assert first not in others


def test_early_stopping_ends_the_history_and_restores_the_best_weights() -> None:
    def recipe(chosen: training.Settings, steps_per_epoch: int) -> dict[str, Any]:
        assert steps_per_epoch == 2
        stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
        changes = {"optimizer": keras.optimizers.SGD(1.0), "callbacks": [stop]}
        return training.recipe(chosen, steps_per_epoch) | changes

    # Nothing can be learned for the validation.
    model, noise = build(), Split(digits(50).images, digits(50, seed=1).labels)
    history = training.fit(model, digits(64), noise, settings(epochs=50), True, recipe)
    losses = history["val_loss"]
    assert len(losses) == len(history["epoch"]) == int(np.argmin(losses)) + 3 < 50
    compile_for_training(model, settings())
    assert model.evaluate(*noise, verbose=0)[0] == pytest.approx(min(losses), rel=1e-5)


def test_layers_that_cannot_be_compiled_are_trained_with_one_warning(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    shear = [layers.Reshape((4, 5, 1)), layers.RandomShear(0.1), layers.RandomTranslation(0.1, 0.1)]
    history = training.fit(
        build(*shear, layers.Flatten()), digits(40), NOTHING, settings(), portable=True
    )
    assert np.isfinite(history["loss"][0])
    assert capsys.readouterr().err.count("warning: RandomShear may give different bits") == 1
    assert not [warning for warning in recwarn if "jit_compile" in str(warning.message)]


def test_each_seed_and_each_layer_has_its_own_initial_weights() -> None:
    chosen = ((1, 1), (1, 2), (2, 1), (1, 1))
    draws = [np.ravel(training.initial_weights(*pair)((20, 20))) for pair in chosen]
    assert np.abs(draws).max() <= np.sqrt(6 / 40)
    alike = np.abs(np.corrcoef(draws)[0])
    assert max(alike[1:3]) < 0.3
    np.testing.assert_array_equal(draws[0], draws[3])


def test_a_training_that_diverges_is_stopped_with_advice() -> None:
    images, labels = digits(64)
    images[0, 0] = np.inf
    with pytest.raises(UserError, match=r"after epoch 1: training diverged; lower learning_rate"):
        training.fit(build(), Split(images, labels), NOTHING, settings(epochs=3), portable=True)


# Of the weights after 20 steps with the portable settings. Another value means that a dependency
# or a setting now computes other bits: renew dvc.lock and the metrics along with it.
BITS_AFTER_20_STEPS = "0e4afea8bf26519c"


@pytest.mark.skipif(
    runtime.unsupported_reason() is not None, reason="this machine computes other bits"
)
def test_twenty_steps_give_the_known_bits() -> None:
    mnist = data.read_raw("mnist")
    train = Split(data.scale(mnist.x_train[:630]), mnist.y_train[:630])
    first, second = (training.initial_weights(1, layer) for layer in (1, 2))
    hidden = layers.Dense(1000, "relu", kernel_initializer=first)
    last = layers.Dense(10, "softmax", kernel_initializer=second)
    model = keras.Sequential([keras.Input((784,)), hidden, last])
    recipe = {"optimizer": keras.optimizers.Adam(0.01), "callbacks": []}
    chosen = settings(batch_size=32, seed=7)
    training.fit(model, train, NOTHING, chosen, True, lambda *x: training.recipe(*x) | recipe)
    assert weights_hash(model) == BITS_AFTER_20_STEPS


# In a process of its own, since TensorFlow reads the number of threads once.
TRAIN = """
from digits.portable import runtime
runtime.start(portable=True)
import keras
from keras import layers
from tests.unit import test_training as t

keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.Input((784,)), layers.Reshape((28, 28, 1)), layers.RandomTranslation(0.1, 0.1),
    layers.RandomRotation(0.1, fill_mode="constant"), layers.RandomZoom(0.1),
    layers.Conv2D(16, 3), layers.BatchNormalization(), layers.Activation("relu"),
    layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.1), layers.Dense(10, "softmax")])
t.training.fit(model, t.digits(630, pixels=784), t.NOTHING, t.settings(), portable=True)
print(t.weights_hash(model))
"""


def train_apart(home: Path, *before: str, **env: str) -> str:
    """The hash of the weights."""
    command = [*before, sys.executable, "-c", TRAIN]
    env["HOME"] = str(home)
    return subprocess.check_output(command, cwd=ROOT, env=env, text=True).split()[-1]


def test_all_layers_have_the_same_bits_with_another_number_of_threads(tmp_path: Path) -> None:
    first, second = (train_apart(tmp_path, TF_NUM_INTRAOP_THREADS=number) for number in "24")
    assert first == second
