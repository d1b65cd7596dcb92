"""Training without per-batch overhead is the same training."""

import hashlib
from typing import Any

import numpy as np
import pytest

from stages.lib import datasets, params, runtime, splits
from stages.lib.errors import UserError
from stages.lib.splits import Split
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PIXELS = 20


def settings(**changes: Any) -> params.Training:
    values = {"epochs": 1, "batch_size": 32, "learning_rate": 0.01, "seed": 7}
    return params.Training(**(values | changes))


def digits(n: int, seed: int = 0) -> Split:
    """Noise whose label can be learned: the brightest of the first ten pixels."""
    images = np.random.default_rng(seed).random((n, PIXELS), np.float32)
    return Split(images, images[:, :10].argmax(axis=1).astype(np.uint8))


NOTHING = Split(np.empty((0, PIXELS), np.float32), np.empty(0, np.uint8))


def linear(seed: int = 1) -> Any:
    import keras

    from stages.lib import training

    return keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Dense(
                10,
                activation="sigmoid",
                kernel_initializer=training.initial_weights(seed, layer=1),
            ),
        ]
    )


def hidden(seed: int = 1, pixels: int = PIXELS, units: int = 50) -> Any:
    import keras

    from stages.lib import training

    return keras.Sequential(
        [
            keras.Input((pixels,)),
            keras.layers.Dense(
                units, activation="relu", kernel_initializer=training.initial_weights(seed, layer=1)
            ),
            keras.layers.Dense(
                10, activation="softmax", kernel_initializer=training.initial_weights(seed, layer=2)
            ),
        ]
    )


@pytest.mark.parametrize("build", [linear, hidden])
@pytest.mark.parametrize(("n", "batch_size"), [(96, 32), (100, 32), (9, 1), (20, 32)], ids=str)
def test_an_epoch_is_train_on_batch_one_batch_at_a_time(
    build: Any, n: int, batch_size: int
) -> None:
    import keras

    from stages.lib import training

    data, chosen = digits(n), settings(batch_size=batch_size)
    fast, stock = build(), build()
    history = training.fit(fast, data, NOTHING, chosen)

    stock.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    losses, sizes = [], []
    for batch in training.epoch_order(n, batch_size, chosen.seed, 0).numpy():
        rows = batch[batch != training.NO_IMAGE]
        stock.reset_metrics()
        losses.append(stock.train_on_batch(data.images[rows], data.labels[rows])[0])
        sizes.append(len(rows))

    assert sum(sizes) == n
    for ours, theirs in zip(fast.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert history["loss"][0] == pytest.approx(np.average(losses, weights=sizes), rel=1e-5)


def test_each_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    from stages.lib import training

    orders = [
        training.epoch_order(100, 32, seed, epoch).numpy()
        for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0))
    ]
    for order in orders:
        assert order.shape == (4, 32)
        assert sorted(order.ravel()) == [training.NO_IMAGE] * 28 + list(range(100))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    np.testing.assert_array_equal(orders[0], orders[3])


def test_history_has_a_value_per_epoch_and_validation_is_what_keras_measures() -> None:
    import keras

    from stages.lib import training

    model, validation = hidden(), digits(77, seed=1)
    history = training.fit(model, digits(500), validation, settings(epochs=3))
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert history["epoch"] == [1, 2, 3]
    assert history["loss"][0] > history["loss"][1] > history["loss"][2]
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(*validation, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)


def test_without_validation_images_the_history_says_nothing_of_them() -> None:
    from stages.lib import training

    history = training.fit(linear(), digits(50), NOTHING, settings(epochs=2))
    assert history["val_loss"] == history["val_accuracy"] == [None, None]


def test_the_seed_decides_and_global_state_does_not() -> None:
    import keras

    from stages.lib import training

    def trained(seed: int, global_seed: int) -> bytes:
        keras.utils.set_random_seed(global_seed)
        model = hidden(seed)
        training.fit(model, digits(100), NOTHING, settings(seed=seed))
        return b"".join(weights.tobytes() for weights in model.get_weights())

    assert trained(1, global_seed=1) == trained(1, global_seed=2)
    assert trained(1, global_seed=1) != trained(2, global_seed=1)


def test_layers_start_from_different_weights() -> None:
    from stages.lib import training

    first, second = (training.initial_weights(1, layer)((30, 30)).numpy() for layer in (1, 2))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1


def test_progress_is_a_line_per_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    from stages.lib import training

    training.fit(linear(), digits(50), digits(10), settings(epochs=2))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("val_accuracy 0." in line for line in lines)


def test_a_training_that_diverges_is_stopped_with_advice() -> None:
    from stages.lib import training

    data = digits(64)
    poisoned = Split(np.where(data.images > 0.99, np.float32("inf"), data.images), data.labels)
    with pytest.raises(UserError, match=r"after epoch 1: training diverged; lower learning_rate"):
        training.fit(hidden(), poisoned, NOTHING, settings(epochs=3))


# Of the weights after 20 steps with the portable settings. Another value means that a dependency
# or a setting now computes other bits: renew dvc.lock and the metrics along with it.
BITS_AFTER_20_STEPS = "06721e973fd87e79af2d27627d8d805b04f205fa96b2728f0b0b2a6cd037c006"


@pytest.mark.skipif(
    runtime.obstacle_to_portability() is not None, reason="this machine computes other bits"
)
def test_twenty_steps_give_the_known_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.lib import training

    monkeypatch.chdir(ROOT)

    shipped = datasets.load("uci_digits")
    train = Split(splits.scale(shipped.x_train[:630]), shipped.y_train[:630])
    model = hidden(pixels=784, units=1000)
    training.fit(model, train, NOTHING, settings())
    weights = b"".join(values.tobytes() for values in model.get_weights())
    assert hashlib.sha256(weights).hexdigest() == BITS_AFTER_20_STEPS
