"""data/prepared/ -> a hidden layer of ReLU units before the output, models/hidden.keras."""

from typing import TYPE_CHECKING

from digits import params, training
from digits.stage import Outputs, run_stage

if TYPE_CHECKING:
    import keras


class Settings(training.Settings):
    """The group train_hidden in params.yaml."""

    units: int = params.integer(1, 10_000)


def build(pixels: int, labels: int, settings: Settings) -> "keras.Sequential":
    """A hidden layer of ReLU units: images float32 (n, pixels) -> softmax float32 (n, labels)."""
    import keras

    return keras.Sequential(
        [
            keras.Input((pixels,), name="pixels"),
            keras.layers.Dense(
                settings.units,
                activation="relu",
                kernel_initializer=training.initial_weights(settings.seed, layer=1),
                name="hidden",
            ),
            keras.layers.Dense(
                labels,
                activation="softmax",
                kernel_initializer=training.initial_weights(settings.seed, layer=2),
                name="digits",
            ),
        ],
        name="hidden",
    )


def main() -> Outputs:
    return training.train("hidden", Settings, build)


if __name__ == "__main__":
    run_stage(main)
