"""Train all models in one of the WAYS, and print the seconds as JSON.

Compilation counts, importing TensorFlow does not.
"""

import json
import sys
import time
from importlib import import_module

from digits import data, training
from digits.data import Split
from digits.plumbing import params
from digits.portable import runtime
from stages import evaluate

WAYS = {
    # This is a script as in a notebook.
    "keras": "Keras's own fit",
    # Keras's own optimizations: jit_compile, and many steps per call.
    "compiled": "Keras, compiled",
    "portable": "portable",
    "fastest": "fastest",
}


def main(way: str) -> None:
    raw = data.read_raw("mnist")
    images = data.scale(raw.x_train)
    validation = Split(images[:5000], raw.y_train[:5000])
    train = Split(images[5000:], raw.y_train[5000:])
    portable = runtime.start(portable=way == "portable")
    import keras

    seconds = {}
    for name in params.load("evaluate", evaluate.Settings).models:
        stage = import_module(f"stages.train_{name}")
        settings = params.load(f"train_{name}", stage.Settings)
        model = stage.build(raw.x_train.shape[1:], len(raw.names), settings)
        started = time.perf_counter()
        if way in ("portable", "fastest"):
            training.fit(model, train, validation, settings, portable)
        else:
            model.compile(
                optimizer=keras.optimizers.Adam(settings.learning_rate),
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
                jit_compile=True if way == "compiled" else "auto",
                steps_per_execution=100 if way == "compiled" else 1,
            )
            model.fit(
                *train,
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                validation_data=validation,
                verbose=0,
            )
        seconds[name] = time.perf_counter() - started
    print(json.dumps(seconds | {"**together**": sum(seconds.values())}))


if __name__ == "__main__":
    main(sys.argv[1])
