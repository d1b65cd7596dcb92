"""data/prepared/ -> a single dense layer, models/linear.keras."""

from pathlib import Path
from typing import TYPE_CHECKING

from digits import files, params, paths, runtime, splits
from digits.run import run_stage

if TYPE_CHECKING:
    import keras


def build_model(pixels: int, hyperparameters: params.TrainLinear) -> "keras.Sequential":
    """One dense layer: images float32 (n, pixels) -> sigmoid float32 (n, 10)."""
    import keras

    from digits.training import initial_weights

    return keras.Sequential(
        [
            keras.Input((pixels,), name="pixels"),
            keras.layers.Dense(
                splits.CLASSES,
                activation="sigmoid",
                kernel_initializer=initial_weights(hyperparameters.seed, layer=1),
                name="digits",
            ),
        ],
        name="linear",
    )


def main() -> dict[Path, bytes]:
    hyperparameters = params.load(params.TrainLinear)
    portable = params.load(params.Runtime).portable
    train, validation = splits.read_all(("train", "validation")).values()

    portable = runtime.start(portable)
    from digits import saving, training

    model = build_model(train.images.shape[1], hyperparameters)
    history = training.fit(model, train, validation, hyperparameters, portable)
    return {
        paths.model("linear"): saving.to_bytes(model),
        paths.history("linear"): files.csv_bytes(history),
    }


if __name__ == "__main__":
    run_stage(main)
