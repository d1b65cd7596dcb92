"""data/prepared/ -> a single dense layer, models/linear.keras."""

from typing import TYPE_CHECKING

from digits import training
from digits.stage import Outputs, run_stage

if TYPE_CHECKING:
    import keras


class Settings(training.Settings):
    """The group train_linear in params.yaml."""


def build(pixels: int, labels: int, settings: Settings) -> "keras.Sequential":
    """One dense layer: images float32 (n, pixels) -> sigmoid float32 (n, labels)."""
    import keras

    return keras.Sequential(
        [
            keras.Input((pixels,), name="pixels"),
            keras.layers.Dense(
                labels,
                activation="sigmoid",
                kernel_initializer=training.initial_weights(settings.seed, layer=1),
                name="digits",
            ),
        ],
        name="linear",
    )


def main() -> Outputs:
    return training.train("linear", Settings, build)


if __name__ == "__main__":
    run_stage(main)
