"""How far above its floor the hidden model trains; prints JSON.

    python -m benchmarks.floor {portable,fastest} data/prepared

The floor of an epoch is the time that its matrix products would take at the rate of a product of
2048 x 2048 matrices in NumPy, measured just before that epoch, since a machine's speed drifts.

square: that rate, in GFLOP/s, the median over the epochs.
batch: the rate of the two large products of a training step at batch size 32, forward and weight
gradient, compiled by XLA and looped over as in training.
epoch: seconds; above_floor: its ratio to the floor. Medians over the epochs after the first.
flops: of the matrix products in an epoch, validation included.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from digits import files, params, runtime
from digits.splits import Split

BATCH, PIXELS, UNITS, CLASSES, SQUARE = 32, 784, 1000, 10, 2048
STEPS, EPOCHS, REPETITIONS = 500, 6, 5


def flops_per_epoch(train: int, validation: int) -> int:
    """Of the hidden model's matrix products, for that many images."""
    forward = 2 * (PIXELS + CLASSES) * UNITS
    # As much again for the weight gradients, and the gradient between the layers.
    return train * (2 * forward + 2 * CLASSES * UNITS) + validation * forward


def median_seconds(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main(way: str, folder: Path) -> None:
    train, validation = (
        Split(*files.read_arrays(folder / f"{name}.npz", Split._fields))
        for name in ("train", "validation")
    )
    flops = flops_per_epoch(len(train.labels), len(validation.labels))
    portable = runtime.start(portable=way == "portable")
    import keras
    import tensorflow as tf

    from digits import training
    from stages import train_hidden

    square = np.random.default_rng(0).random((SQUARE, SQUARE), np.float32)
    rates, epochs = [], []

    def before(epoch: int, logs: object) -> None:
        rates.append(2 * SQUARE**3 / median_seconds(lambda: square @ square))
        epochs.append(-time.perf_counter())

    def after(epoch: int, logs: object) -> None:
        epochs[-1] += time.perf_counter()

    hyperparameters = params.TrainHidden(
        epochs=EPOCHS, batch_size=BATCH, learning_rate=0.001, seed=1, units=UNITS
    )
    model = train_hidden.build_model(PIXELS, hyperparameters)
    clock = keras.callbacks.LambdaCallback(on_epoch_begin=before, on_epoch_end=after)
    training.fit(model, train, validation, hyperparameters, portable, callbacks=[clock])

    images = tf.random.uniform((BATCH, PIXELS))
    weights = tf.Variable(tf.random.uniform((PIXELS, UNITS)))
    gradient = tf.Variable(tf.random.uniform((BATCH, UNITS)))

    @tf.function(jit_compile=True)
    def products() -> tf.Tensor:
        def step(number: tf.Tensor, carried: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Each step depends on the one before, so none can be left out.
            forward = tf.matmul(images + carried, weights)
            backward = tf.matmul(images + forward[0, 0] * 1e-9, gradient, transpose_a=True)
            return number + 1, backward[0, 0] * 1e-9

        return tf.while_loop(
            lambda number, _: number < STEPS, step, (tf.constant(0), tf.constant(0.0))
        )[1]

    batch_seconds = median_seconds(lambda: products().numpy())
    above = [epoch * rate / flops for epoch, rate in zip(epochs[1:], rates[1:], strict=True)]
    print(
        json.dumps(
            {
                "square": statistics.median(rates) / 1e9,
                "batch": STEPS * 4 * BATCH * PIXELS * UNITS / batch_seconds / 1e9,
                "epoch": statistics.median(epochs[1:]),
                "above_floor": statistics.median(above),
                "flops": flops,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
