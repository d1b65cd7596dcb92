"""data/prepared/ -> a hidden layer of ReLU units before the output, models/hidden.keras."""

import math
from typing import TYPE_CHECKING

from digits import data, training
from digits.plumbing import params
from digits.plumbing.stage import Outputs, run_stage

if TYPE_CHECKING:
    import keras


class Settings(training.Settings):
    """The group train_hidden in params.yaml."""

    units: int = params.integer(1, 10_000)


def build(shape: tuple[int, ...], num_labels: int, settings: Settings) -> "keras.Model":
    """Map images float32 (n, pixels) to probabilities float32 (n, num_labels)."""
    import keras

    return keras.Sequential(
        [
            keras.Input((math.prod(shape),), name="pixels"),
            keras.layers.Dense(
                settings.units,
                activation="relu",
                kernel_initializer=training.initial_weights(settings.seed, layer=1),
                name="hidden",
            ),
            keras.layers.Dense(
                num_labels,
                activation="softmax",
                kernel_initializer=training.initial_weights(settings.seed, layer=2),
                name="digits",
            ),
        ],
        name="hidden",
    )


def main() -> Outputs:
    settings = params.load("train_hidden", Settings)
    dataset = data.read(("train", "validation"))
    portable = training.start(settings)
    model = build(dataset.shape, dataset.num_labels, settings)
    return training.train("hidden", model, dataset, settings, portable)


if __name__ == "__main__":
    run_stage(main)
