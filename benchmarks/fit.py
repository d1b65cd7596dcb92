"""Times five epochs of both models in one process and prints the seconds as JSON.

    python -m benchmarks.fit {stock,portable,fastest} data/prepared

stock: Keras's own fit; portable, fastest: this project's, with runtime.portable true and false.
Compilation counts, importing TensorFlow does not.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from digits import files, params, runtime
from digits.splits import Split

EPOCHS, BATCH_SIZE = 5, 32


def main(way: str, folder: Path) -> None:
    train, validation = (
        Split(*files.read_arrays(folder / f"{name}.npz", Split._fields))
        for name in ("train", "validation")
    )
    portable = runtime.start(portable=way == "portable")
    import keras

    from digits import training
    from stages import train_hidden, train_linear

    hyperparameters = params.TrainHidden(
        epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=0.001, seed=1, units=1000
    )
    linear = params.TrainLinear(**hyperparameters.model_dump(exclude={"units"}))
    pixels = train.images.shape[1]
    seconds = {}
    for name, model in (
        ("linear", train_linear.build_model(pixels, linear)),
        ("hidden", train_hidden.build_model(pixels, hyperparameters)),
    ):
        ends = [time.perf_counter()]
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, ends=ends: ends.append(time.perf_counter())
        )
        if way == "stock":
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            model.fit(
                *train,
                batch_size=BATCH_SIZE,
                epochs=EPOCHS,
                validation_data=validation,
                verbose=0,
                callbacks=[clock],
            )
        else:
            training.fit(model, train, validation, hyperparameters, portable, callbacks=[clock])
        seconds[name] = {
            "fit": time.perf_counter() - ends[0],
            "epochs": np.diff(ends).tolist(),
        }
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
