"""data/prepared/ -> a single dense layer, models/linear.keras."""

from stages.lib import files, params, paths, runtime, splits
from stages.lib.errors import report
from stages.lib.splits import CLASSES


def main() -> None:
    settings = params.load()
    train, validation = splits.read_all(("train", "validation")).values()

    runtime.start(settings.runtime.portable)
    import keras

    from stages.lib import models, training

    seed = settings.train_linear.seed
    model = keras.Sequential(
        [
            keras.Input((train.images.shape[1],), name="pixels"),
            keras.layers.Dense(
                CLASSES,
                activation="sigmoid",
                kernel_initializer=training.initial_weights(seed, layer=1),
                name="digits",
            ),
        ],
        name="linear",
    )
    history = training.fit(model, train, validation, settings.train_linear)
    models.save(model, paths.model("linear"))
    files.write_csv(paths.history("linear"), history)


if __name__ == "__main__":
    report(main)
