"""Trains each model for 20 steps and prints a hash of its weights, before and after, and the loss.

    python -m benchmarks.twenty_steps

Machines that print the same hashes compute the same bits. benchmarks/arm64.sh emulates some.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from digits import data, runtime, training
from digits.data import Split
from stages import train_hidden, train_linear

if TYPE_CHECKING:
    import keras

STEPS, BATCH_SIZE = 20, 32


def weights_hash(model: "keras.Model") -> str:
    return hashlib.sha256(b"".join(part.tobytes() for part in model.get_weights())).hexdigest()[:16]


def main() -> None:
    raw = data.read_raw("mnist")
    n = STEPS * BATCH_SIZE
    train = Split(data.scale(raw.x_train[:n]), raw.y_train[:n])
    nothing = Split(train.images[:0], train.labels[:0])
    portable = runtime.start(portable=True)

    linear = train_linear.Settings(epochs=1, batch_size=BATCH_SIZE, learning_rate=0.001, seed=1)
    hidden = train_hidden.Settings(**linear.model_dump(), units=1000)
    pixels, labels = train.images.shape[1], len(raw.names)
    for model in (
        train_linear.build(pixels, labels, linear),
        train_hidden.build(pixels, labels, hidden),
    ):
        before = weights_hash(model)
        loss = training.fit(model, train, nothing, linear, portable)["loss"][0]
        after = weights_hash(model)
        print(f"{model.name}: weights {before}, trained {after}, loss {float(np.float32(loss))!r}")


if __name__ == "__main__":
    main()
