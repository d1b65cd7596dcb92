"""Measures the rate of matrix products, in GFLOP/s, and prints it as JSON.

    python -m benchmarks.gemm {portable,fastest}

square: 2048 x 2048 x 2048, in float32, with NumPy's library: what this machine does at its best.
batch: the two large products of a training step of the hidden model at batch size 32, forward and
weight gradient, compiled by XLA and looped over as in training.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from stages.lib import runtime

BATCH, PIXELS, UNITS, SQUARE, STEPS, REPETITIONS = 32, 784, 1000, 2048, 500, 7


def median_seconds(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main(way: str) -> None:
    runtime.start(portable=way == "portable")
    import tensorflow as tf

    square = np.random.default_rng(0).random((SQUARE, SQUARE), np.float32)
    square_seconds = median_seconds(lambda: square @ square)

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
    print(
        json.dumps(
            {
                "square": 2 * SQUARE**3 / square_seconds / 1e9,
                "batch": STEPS * 4 * BATCH * PIXELS * UNITS / batch_seconds / 1e9,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
