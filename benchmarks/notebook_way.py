"""What a notebook would do, in one script: load MNIST, train both models with stock fit, evaluate.

python -m benchmarks.notebook_way mnist.npz
"""

import sys
from pathlib import Path

import keras
import numpy as np


def build_linear() -> keras.Sequential:
    return keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="sigmoid")])


def build_hidden() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(1000, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def main(path: Path) -> None:
    with np.load(path, allow_pickle=False) as mnist:
        x_train, x_test = (
            mnist[name].reshape(-1, 784).astype("float32") / 255 for name in ("x_train", "x_test")
        )
        y_train, y_test = mnist["y_train"], mnist["y_test"]
    for model in (build_linear(), build_hidden()):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            x_train[:-5000],
            y_train[:-5000],
            batch_size=32,
            epochs=5,
            validation_data=(x_train[-5000:], y_train[-5000:]),
            verbose=2,
        )
        print(model.evaluate(x_test, y_test, verbose=0))
        model.predict(x_test, verbose=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
