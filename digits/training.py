"""Compile and fit: the one place that trains.

Keras's `fit()` calls into TensorFlow once per batch, which costs more than the small batches'
arithmetic. Here one call receives the order of a whole epoch and loops over its batches inside a
single XLA-compiled function; everything else is the ordinary `fit()`.
"""

import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_optimization_barrier

from digits.errors import UserError
from digits.params import Hyperparameters
from digits.splits import Split

HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy")
VALIDATION_BATCH = 5000
# Fills the last batch; not the index of an image.
PADDING = -1


def initial_weights(seed: int, layer: int) -> keras.initializers.Initializer:
    """Keras's default initializer, Glorot uniform, with its own random stream for each layer."""
    stream = np.random.SeedSequence([seed, layer]).generate_state(1)
    return keras.initializers.GlorotUniform(seed=int(stream[0]))


def epoch_order(n: int, batch_size: int, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """The images of one epoch, batch by batch: int32 (steps, batch_size).

    Every index from 0 to n-1 occurs once, in an order given by `seed` and `epoch` alone; the last
    batch is filled up with PADDING.
    """
    batch_size = min(batch_size, n)
    order = tf.random.experimental.stateless_shuffle(tf.range(n), (seed, epoch))
    padded = tf.pad(order, [[0, -n % batch_size]], constant_values=PADDING)
    return tf.reshape(padded, (-1, batch_size))


def fit(
    model: keras.Sequential,
    train: Split,
    validation: Split,
    hyperparameters: Hyperparameters,
    portable: bool,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Train `model` in place with Adam on sparse categorical cross-entropy.

    `portable` is what `runtime.start` returned. Returns the history: epoch (from 1) and HISTORY, a
    value per epoch; without validation images the val_ columns hold None. Raises UserError if
    training diverges.
    """
    n = len(train.labels)
    orders = tf.data.Dataset.range(hyperparameters.epochs).map(
        lambda epoch: epoch_order(n, hyperparameters.batch_size, hyperparameters.seed, epoch)
    )
    # Left on, its thread sleeps up to ten seconds, and the end of fit() waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    orders = orders.with_options(options)
    trainer = EpochTrainer(model, train, portable)
    trainer.compile(
        optimizer=keras.optimizers.Adam(hyperparameters.learning_rate),
        # The mean over the images of a batch, without its padding.
        loss=keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
        jit_compile=True,
    )
    # Left to the first step, creating their variables makes TensorFlow trace it twice.
    trainer.optimizer.build(trainer.trainable_variables)
    trainer.compute_metrics(None, trainer.labels[:1], trainer(trainer.images[:1]))
    history = trainer.fit(
        orders,
        shuffle=False,
        epochs=hyperparameters.epochs,
        steps_per_epoch=1,
        validation_data=validation if len(validation.labels) else None,
        validation_batch_size=VALIDATION_BATCH,
        callbacks=[_Progress(), *callbacks],
        verbose=0,
    ).history
    epochs = list(range(1, hyperparameters.epochs + 1))
    return {"epoch": epochs} | {
        name: history.get(name, [None] * hyperparameters.epochs) for name in HISTORY
    }


@tf.custom_gradient
def portable_product(
    inputs: tf.Tensor, kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """inputs @ kernel, float32 (n, m) by (m, k), with a gradient that is fast when portable.

    A weight gradient is a product with the transposed inputs. XLA folds the transposition into the
    product, which its portable library then declines, and a slower one takes over. The barrier
    keeps the two steps apart.
    """

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (transposed,) = xla_optimization_barrier([tf.transpose(inputs)])
        return tf.matmul(upstream, kernel, transpose_b=True), tf.matmul(transposed, upstream)

    return tf.matmul(inputs, kernel), gradient


class EpochTrainer(keras.Model):
    """Trains the layers of a plain Keras model, which stays one, an epoch per call."""

    def __init__(self, model: keras.Sequential, train: Split, portable: bool) -> None:
        super().__init__()
        self.model = model
        self.portable = portable
        self.images = tf.constant(train.images)
        self.labels = tf.constant(train.labels)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The model's outputs."""
        for layer in self.model.layers:
            if self.portable and type(layer) is keras.layers.Dense and layer.use_bias:
                product = portable_product(inputs, layer.kernel.value)
                inputs = layer.activation(product + layer.bias)
            else:
                inputs = layer(inputs, training=training)
        return inputs

    def train_step(self, batches: tf.Tensor) -> dict[str, tf.Tensor]:
        """A step of the optimizer for each row of image indices, int32 (steps, batch_size)."""

        def train_on_batch(step: tf.Tensor) -> tuple[tf.Tensor]:
            rows = batches[step]
            weights = tf.cast(rows != PADDING, tf.float32)
            rows = tf.maximum(rows, 0)
            images, labels = tf.gather(self.images, rows), tf.gather(self.labels, rows)
            with tf.GradientTape() as tape:
                predictions = self(images, training=True)
                loss = self.compute_loss(images, labels, predictions, sample_weight=weights)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            self._loss_tracker.update_state(loss, sample_weight=tf.reduce_sum(weights))
            self.compute_metrics(images, labels, predictions, sample_weight=weights)
            return (step + 1,)

        tf.while_loop(lambda step: step < tf.shape(batches)[0], train_on_batch, (tf.constant(0),))
        results: dict[str, tf.Tensor] = self.get_metrics_result()
        return results


class _Progress(keras.callbacks.Callback):
    """Prints a line per epoch, and stops a training that diverges."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        if not all(math.isfinite(value) for value in logs.values()):
            raise UserError(
                f"the loss is no longer a number after epoch {epoch + 1}: training diverged; "
                "lower learning_rate in params.yaml"
            )
        seconds = time.perf_counter() - self.started
        values = "  ".join(f"{name} {logs[name]:.4f}" for name in HISTORY if name in logs)
        print(f"epoch {epoch + 1}/{self.params['epochs']}  {values}  ({seconds:.1f} s)", flush=True)
