"""data/prepared/ -> a single dense layer, models/linear.keras."""

import math
from typing import TYPE_CHECKING

from digits import data, training
from digits.plumbing import params
from digits.plumbing.stage import Outputs, run_stage

if TYPE_CHECKING:
    import keras


class Settings(training.Settings):
    """The group train_linear in params.yaml."""


def build(shape: tuple[int, ...], num_labels: int, settings: Settings) -> "keras.Model":
    """Map images float32 (n, pixels) to sigmoids float32 (n, num_labels)."""
    import keras

    return keras.Sequential(
        [
            keras.Input((math.prod(shape),), name="pixels"),
            keras.layers.Dense(
                num_labels,
                activation="sigmoid",
                kernel_initializer=training.initial_weights(settings.seed, layer=1),
                name="digits",
            ),
        ],
        name="linear",
    )


def main() -> Outputs:
    settings = params.load("train_linear", Settings)
    dataset = data.read(("train", "validation"))
    portable = training.start(settings)
    model = build(dataset.shape, dataset.num_labels, settings)
    return training.train("linear", model, dataset, settings, portable)


if __name__ == "__main__":
    run_stage(main)
