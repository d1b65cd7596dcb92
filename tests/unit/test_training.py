"""Training without the cost per batch is the same training."""

import hashlib
from typing import Any

import numpy as np
import pytest

from digits import params, paths, runtime, splits
from digits.errors import UserError
from digits.splits import Split
from stages import train_hidden, train_linear
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("tensorflow_started")

PIXELS = 20
NOTHING = Split(np.empty((0, PIXELS), np.float32), np.empty(0, np.uint8))


def settings(**changes: Any) -> params.TrainHidden:
    values = {"epochs": 1, "batch_size": 32, "learning_rate": 0.01, "seed": 7, "units": 50}
    return params.TrainHidden(**(values | changes))


def digits(n: int, seed: int = 0) -> Split:
    """Noise whose label can be learned: the brightest of the first ten pixels."""
    images = np.random.default_rng(seed).random((n, PIXELS), np.float32)
    return Split(images, images[:, :10].argmax(axis=1).astype(np.uint8))


def build(stage: Any, chosen: params.TrainHidden) -> Any:
    return stage.build_model(PIXELS, chosen)


def weights(model: Any) -> bytes:
    return b"".join(values.tobytes() for values in model.get_weights())


@pytest.mark.parametrize(
    ("stage", "portable", "n", "batch_size"),
    [
        (train_linear, True, 100, 32),
        (train_hidden, True, 100, 32),
        (train_hidden, False, 100, 32),
        (train_linear, True, 9, 1),
        (train_linear, True, 20, 32),
    ],
)
def test_an_epoch_equals_train_on_batch_for_each_batch(
    stage: Any, portable: bool, n: int, batch_size: int
) -> None:
    import keras

    from digits import training

    data, chosen = digits(n), settings(batch_size=batch_size)
    ours, stock = (build(stage, chosen) for _ in range(2))
    history = training.fit(ours, data, NOTHING, chosen, portable)

    # Uncompiled, which is quicker for a few batches.
    stock.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
    )
    losses, sizes = [], []
    for batch in training.epoch_order(n, batch_size, chosen.seed, 0).numpy():
        rows = batch[batch != training.PADDING]
        stock.reset_metrics()
        losses.append(stock.train_on_batch(data.images[rows], data.labels[rows])[0])
        sizes.append(len(rows))

    assert sum(sizes) == n
    for found, expected in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert history["loss"][0] == pytest.approx(np.average(losses, weights=sizes), rel=1e-5)
    assert history["val_loss"] == history["val_accuracy"] == [None]


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    from digits import training

    orders = [
        training.epoch_order(100, 32, seed, epoch).numpy()
        for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0))
    ]
    for order in orders:
        assert order.shape == (4, 32)
        assert sorted(order.ravel()) == [training.PADDING] * 28 + list(range(100))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    np.testing.assert_array_equal(orders[0], orders[3])


def test_history_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """A value and a line per epoch; validation is what Keras measures."""

    from digits import training

    chosen, validation = settings(epochs=3), digits(77, seed=1)
    model = build(train_hidden, chosen)
    history = training.fit(model, digits(500), validation, chosen, portable=True)
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert history["epoch"] == [1, 2, 3]
    assert history["loss"][0] > history["loss"][1] > history["loss"][2]
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    loss, accuracy = model.evaluate(*validation, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("val_accuracy 0." in line for line in lines)


def test_the_seed_decides_and_global_state_does_not() -> None:
    import keras

    from digits import training

    def trained(global_seed: int) -> bytes:
        keras.utils.set_random_seed(global_seed)
        model = build(train_linear, settings())
        training.fit(model, digits(100), NOTHING, settings(), portable=True)
        return weights(model)

    assert trained(global_seed=1) == trained(global_seed=2)
    for stage in (train_linear, train_hidden):
        first, other = (build(stage, settings(seed=seed)) for seed in (1, 2))
        assert weights(first) != weights(other)


def test_layers_start_from_different_weights() -> None:
    first, second = train_hidden.build_model(10, settings(units=10)).layers
    correlation = np.corrcoef(np.ravel(first.kernel), np.ravel(second.kernel))
    assert abs(correlation[0, 1]) < 0.3


def test_a_training_that_diverges_is_stopped_with_advice() -> None:
    from digits import training

    images, labels = digits(64)
    images[0, 0] = np.inf
    chosen = settings(epochs=3)
    model = build(train_linear, chosen)
    with pytest.raises(UserError, match=r"after epoch 1: training diverged; lower learning_rate"):
        training.fit(model, Split(images, labels), NOTHING, chosen, portable=True)


# Of the weights after 20 steps with the portable settings. Another value means that a dependency
# or a setting now computes other bits: renew dvc.lock and the metrics along with it.
BITS_AFTER_20_STEPS = "0e4afea8bf26519c007084505a2b1092a63a98976a51c6241c526726d9bb4b92"


@pytest.mark.skipif(
    runtime.unsupported_reason() is not None, reason="this machine computes other bits"
)
def test_twenty_steps_give_the_known_bits() -> None:
    from digits import training

    with np.load(ROOT / paths.raw("mnist")) as mnist:
        train = Split(splits.scale(mnist["x_train"][:630]), mnist["y_train"][:630])
    model = train_hidden.build_model(784, settings(units=1000, seed=1))
    training.fit(model, train, NOTHING, settings(), portable=True)
    assert hashlib.sha256(weights(model)).hexdigest() == BITS_AFTER_20_STEPS
