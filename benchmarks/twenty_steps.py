"""Train each model for 20 steps; print a hash of its weights, before and after, and the loss.

    python -m benchmarks.twenty_steps

Machines that print the same hashes compute the same bits. benchmarks/arm64.sh emulates some.
"""

import hashlib
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from digits import data, training
from digits.data import Split
from digits.plumbing import params
from digits.portable import runtime
from stages import evaluate

if TYPE_CHECKING:
    import keras

STEPS = 20


def weights_hash(model: "keras.Model") -> str:
    return hashlib.sha256(b"".join(part.tobytes() for part in model.get_weights())).hexdigest()[:16]


def main() -> None:
    raw = data.read_raw("mnist")
    portable = runtime.start(portable=True)
    for name in params.load("evaluate", evaluate.Settings).models:
        stage = import_module(f"stages.train_{name}")
        settings = params.load(f"train_{name}", stage.Settings).model_copy(update={"epochs": 1})
        n = STEPS * settings.batch_size
        train = Split(data.scale(raw.x_train[:n]), raw.y_train[:n])
        nothing = Split(train.images[:0], train.labels[:0])
        model = stage.build(raw.x_train.shape[1:], len(raw.names), settings)
        before = weights_hash(model)
        loss = training.fit(model, train, nothing, settings, portable)["loss"][0]
        after = weights_hash(model)
        print(f"{name}: weights {before}, trained {after}, loss {float(np.float32(loss))!r}")


if __name__ == "__main__":
    main()
