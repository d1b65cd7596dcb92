"""Run each epoch in one compiled call, which is faster than Keras's own `fit()`."""

# Keras's `fit()` calls into TensorFlow once per batch, which costs more than the small batches'
# arithmetic. Here one call receives the order of a whole epoch and loops over its batches inside a
# single XLA-compiled function; everything else is the ordinary `fit()`.

import keras
import numpy as np
import tensorflow as tf

from digits.data import Split
from digits.portable import layers

# This fills the last batch; no image has this index.
PADDING = -1


def order(n: int, batch_size: int, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """Shuffle indices 0 to n-1 for one epoch: int32 (steps, batch_size), padded with PADDING."""
    batch_size = min(batch_size, n)
    order = tf.random.experimental.stateless_shuffle(tf.range(n), (seed, epoch))
    padded = tf.pad(order, [[0, -n % batch_size]], constant_values=PADDING)
    return tf.reshape(padded, (-1, batch_size))


def orders(n: int, batch_size: int, seed: int, epochs: range) -> tf.data.Dataset:
    """Return the order of the images in each epoch."""

    # AutoGraph has nothing to do here, and would take a fifth of a second.
    @tf.autograph.experimental.do_not_convert
    def of_epoch(epoch: tf.Tensor) -> tf.Tensor:
        return order(n, batch_size, seed, epoch)

    dataset = tf.data.Dataset.range(epochs.start, epochs.stop).map(of_epoch)
    # The thread of autotuning sleeps up to ten seconds, and the end of fit() waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


class EpochTrainer(keras.Model):
    """Trains a plain Keras model in place, one epoch per call.

    With `pad`, the last batch is as long as the others, with copies of an image whose weight is 0.
    """

    def __init__(
        self, model: keras.Model, train: Split, seed: int, portable: bool, pad: bool
    ) -> None:
        super().__init__()
        self.model = model
        for layer in model.layers:
            # Keras says that XLA cannot compile layers that are reimplemented here.
            layer.supports_jit |= layers.is_computed(layer)
        self.seed = seed
        self.portable = portable
        self.pad = pad
        self.images = _tensor(train.images)
        self.labels = tf.constant(train.labels)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Compute the model's outputs."""
        if not self.jit_compile:
            return self.model(inputs, training=training)
        seed = None
        if training:
            seed = tf.stack([tf.constant(self.seed, tf.int64), self.optimizer.iterations.value])
        return layers.forward(self.model, inputs, self.portable, seed)

    def train_step(self, batches: tf.Tensor) -> dict[str, tf.Tensor]:
        """Take a step of the optimizer for each row of image indices, int32 (steps, batch_size)."""
        rest = 0 if self.pad else len(self.labels) % batches.shape[1]
        whole = batches[:-1] if rest else batches

        def step(number: tf.Tensor) -> tuple[tf.Tensor]:
            self.train_on(whole[number])
            return (number + 1,)

        tf.while_loop(lambda number: number < tf.shape(whole)[0], step, (tf.constant(0),))
        if rest:
            # This second shape takes 0.7 s to compile.
            self.train_on(batches[-1, :rest])
        return dict(self.get_metrics_result())

    def train_on(self, rows: tf.Tensor) -> None:
        """Take a step of the optimizer for image indices, int32 (batch_size,)."""
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


def _tensor(array: np.ndarray) -> tf.Tensor:
    """Return an array as a tensor, by way of one copy; `tf.constant` makes two."""
    # TensorFlow can use the memory of an array that starts at a multiple of 64 bytes.
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    aligned = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    aligned[...] = array
    return tf.experimental.dlpack.from_dlpack(aligned.__dlpack__())
