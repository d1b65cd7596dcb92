"""From a model's layers to the trained model, for all training stages."""

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from digits import data, formats, params, paths, runtime, stage
from digits.data import Split
from digits.errors import UserError
from digits.text import wrapped

if TYPE_CHECKING:
    import keras

HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy")


class Settings(params.Group):
    """The hyperparameters that all models have."""

    epochs: int = params.integer(1, 1000)
    batch_size: int = params.integer(1, 10_000)
    learning_rate: float = params.number(1e-9, 1)
    seed: int = params.seed()


S = TypeVar("S", bound=Settings)


def train(
    name: str, settings_class: type[S], build: Callable[[int, int, S], "keras.Sequential"]
) -> stage.Outputs:
    """Build a model, train it, and return the outputs of the stage train_`name`.

    `build` takes the number of pixels and of labels, and the settings.
    """
    settings = params.load(f"train_{name}", settings_class)
    wanted = params.load("runtime", runtime.Settings).portable
    dataset, splits = data.read(("train", "validation"))
    portable = runtime.start(wanted)
    if not wanted:
        print(f"runtime.portable is false: using the {runtime.device()}")
    import keras

    from digits import models

    # Layers without a name get the same one, whatever ran before in this process.
    keras.utils.clear_session()
    # For layers that draw random numbers without a seed of their own.
    keras.utils.set_random_seed(settings.seed)
    pixels, labels = splits["train"].images.shape[1], len(dataset.labels)
    model = build(pixels, labels, settings)
    models.check(model, f"stages/train_{name}.py", pixels, labels)
    stage.check_declared((paths.model(name), paths.history(name)))
    history = fit(model, splits["train"], splits["validation"], settings, portable)
    return {
        paths.model(name): models.to_bytes(model),
        paths.history(name): formats.csv_bytes(history),
    }


def initial_weights(seed: int, layer: int) -> "keras.initializers.Initializer":
    """Keras's default initializer, Glorot uniform, with its own random stream for each layer."""
    import keras
    import numpy as np

    stream = np.random.SeedSequence([seed, layer]).generate_state(1)
    return keras.initializers.GlorotUniform(seed=int(stream[0]))


def compile_for_training(model: "keras.Model", settings: Settings) -> None:
    """Choose the optimizer, the loss and the metrics."""
    import keras

    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        # The mean over the images of a batch, without its padding.
        # Of the softmax, even behind sigmoids: Keras finds the logits behind any activation.
        loss=keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
        jit_compile=True,
    )


def fit(
    model: "keras.Sequential", train: Split, validation: Split, settings: Settings, portable: bool
) -> dict[str, list[Any]]:
    """Train `model` in place; `portable` is the result of `runtime.start`.

    Returns the history: epoch (from 1) and HISTORY, a value per epoch; without validation images
    the val_ columns hold None. Raises UserError if training diverges.
    """
    import keras

    from digits import epochs, layers

    unportable = ", ".join(layers.unportable(model)) if portable else ""
    if unportable:
        warning = f"warning: the bits of {unportable} may be those of this machine alone"
        print(warning, file=sys.stderr)
    trainer = epochs.EpochTrainer(model, train, settings.seed, portable)
    compile_for_training(trainer, settings)
    # Left to the first step, creating their variables makes TensorFlow trace it twice.
    trainer.optimizer.build(trainer.trainable_variables)
    trainer.compute_metrics(None, trainer.labels[:1], trainer(trainer.images[:1]))
    started = time.perf_counter()

    def end_epoch(epoch: int, logs: dict[str, float]) -> None:
        nonlocal started
        if not all(map(math.isfinite, logs.values())):
            problem = f"the loss is not finite after epoch {epoch + 1}: training diverged"
            raise UserError(f"{problem}; lower learning_rate in params.yaml")
        values = "  ".join(f"{name} {logs[name]:.4f}" for name in HISTORY if name in logs)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        line = f"epoch {epoch + 1}/{settings.epochs}  {values}  ({seconds:.1f} s)"
        print(*wrapped([line]), sep="\n", flush=True)

    history = trainer.fit(
        epochs.orders(len(train.labels), settings.batch_size, settings.seed, settings.epochs),
        shuffle=False,
        epochs=settings.epochs,
        steps_per_epoch=1,
        validation_data=validation if len(validation.labels) else None,
        validation_batch_size=5000,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=end_epoch)],
        verbose=0,
    ).history
    numbers = list(range(1, settings.epochs + 1))
    return {"epoch": numbers} | {name: history.get(name, [None] * len(numbers)) for name in HISTORY}
