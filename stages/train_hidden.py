"""data/prepared/ -> a hidden layer of ReLU units before the output, models/hidden.keras."""

from stages.lib import files, params, paths, runtime, splits
from stages.lib.errors import report
from stages.lib.splits import CLASSES


def main() -> None:
    settings = params.load()
    train, validation = splits.read_all(("train", "validation")).values()

    runtime.start(settings.runtime.portable)
    import keras

    from stages.lib import models, training

    seed = settings.train_hidden.seed
    model = keras.Sequential(
        [
            keras.Input((train.images.shape[1],), name="pixels"),
            keras.layers.Dense(
                settings.train_hidden.units,
                activation="relu",
                kernel_initializer=training.initial_weights(seed, layer=1),
                name="hidden",
            ),
            keras.layers.Dense(
                CLASSES,
                activation="softmax",
                kernel_initializer=training.initial_weights(seed, layer=2),
                name="digits",
            ),
        ],
        name="hidden",
    )
    history = training.fit(model, train, validation, settings.train_hidden)
    models.save(model, paths.model("hidden"))
    files.write_csv(paths.history("hidden"), history)


if __name__ == "__main__":
    report(main)
