"""data/prepared/ -> a hidden layer of ReLU units before the output, models/hidden.keras."""

from pathlib import Path
from typing import TYPE_CHECKING

from digits import files, params, paths, runtime, splits
from digits.run import run_stage

if TYPE_CHECKING:
    import keras


def build_model(pixels: int, hyperparameters: params.TrainHidden) -> "keras.Sequential":
    """A hidden layer of ReLU units: images float32 (n, pixels) -> softmax float32 (n, 10)."""
    import keras

    from digits.training import initial_weights

    return keras.Sequential(
        [
            keras.Input((pixels,), name="pixels"),
            keras.layers.Dense(
                hyperparameters.units,
                activation="relu",
                kernel_initializer=initial_weights(hyperparameters.seed, layer=1),
                name="hidden",
            ),
            keras.layers.Dense(
                splits.CLASSES,
                activation="softmax",
                kernel_initializer=initial_weights(hyperparameters.seed, layer=2),
                name="digits",
            ),
        ],
        name="hidden",
    )


def main() -> dict[Path, bytes]:
    hyperparameters = params.load(params.TrainHidden)
    portable = params.load(params.Runtime).portable
    train, validation = splits.read_all(("train", "validation")).values()

    portable = runtime.start(portable)
    from digits import saving, training

    model = build_model(train.images.shape[1], hyperparameters)
    history = training.fit(model, train, validation, hyperparameters, portable)
    return {
        paths.model("hidden"): saving.to_bytes(model),
        paths.history("hidden"): files.csv_bytes(history),
    }


if __name__ == "__main__":
    run_stage(main)
