"""Trains both models for five epochs in one process, and prints the seconds as JSON.

    python -m benchmarks.fit {keras,compiled,portable,fastest}

keras: a script as in a notebook, with Keras's own fit(); compiled: the same with jit_compile and
steps_per_execution=100, Keras's own remedies; portable, fastest: this project's fit, with
runtime.portable true and false. Compilation counts, importing TensorFlow does not.
"""

import json
import sys
import time

import numpy as np

from digits import data, runtime, training
from digits.data import Split
from stages import train_hidden, train_linear

EPOCHS, BATCH_SIZE, LEARNING_RATE, UNITS = 5, 32, 0.001, 1000
COMPILED = {"jit_compile": True, "steps_per_execution": 100}


def main(way: str) -> None:
    raw = data.read_raw("mnist")
    images = data.scale(raw.x_train)
    validation = Split(images[:5000], raw.y_train[:5000])
    train = Split(images[5000:], raw.y_train[5000:])
    test = Split(data.scale(raw.x_test), raw.y_test)

    portable = runtime.start(portable=way == "portable")
    import keras

    linear = train_linear.Settings(
        epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, seed=1
    )
    hidden = train_hidden.Settings(**linear.model_dump(), units=UNITS)
    pixels, labels = images.shape[1], len(raw.names)
    results = {}
    for name, model in (
        ("linear", train_linear.build(pixels, labels, linear)),
        ("hidden", train_hidden.build(pixels, labels, hidden)),
    ):
        ends = [time.perf_counter()]
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, ends=ends: ends.append(time.perf_counter())
        )
        if way in ("keras", "compiled"):
            model.compile(
                optimizer=keras.optimizers.Adam(LEARNING_RATE),
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
                **(COMPILED if way == "compiled" else {}),
            )
            model.fit(
                *train,
                batch_size=BATCH_SIZE,
                epochs=EPOCHS,
                validation_data=validation,
                verbose=0,
                callbacks=[clock],
            )
        else:
            training.fit(model, train, validation, linear, portable, callbacks=[clock])
            model.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy")
        seconds = time.perf_counter() - ends[0]
        results[name] = {
            "fit": seconds,
            "epochs": np.diff(ends).tolist(),
            "accuracy": model.evaluate(*test, verbose=0)[1],
        }
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
