"""Train a model: initial weights, optimizer, loss, metrics, callbacks, epochs."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from digits.data import Dataset, Split
from digits.plumbing import params, paths, stage, terminal
from digits.plumbing.errors import UserError
from digits.portable import formats, runtime

if TYPE_CHECKING:
    import keras

HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy")


class Settings(params.Group):
    """The hyperparameters that all models have."""

    epochs: int = params.integer(1, 1000)
    batch_size: int = params.integer(1, 10_000)
    learning_rate: float = params.number(1e-9, 1)
    seed: int = params.seed()


# From the settings and the number of steps per epoch.
Recipe = Callable[[Any, int], dict[str, Any]]


def recipe(settings: Settings, steps_per_epoch: int) -> dict[str, Any]:
    """Choose how a model is trained: arguments of Keras's `compile()`, and callbacks of `fit()`.

    A training script may pass its own to `train`.
    """
    import keras

    learning_rate = settings.learning_rate
    return {
        "optimizer": keras.optimizers.Adam(learning_rate),
        # The mean is over the images of a batch, without its padding. The loss is that of the
        # softmax, even behind sigmoids: Keras finds the logits behind any activation.
        "loss": keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
        "weighted_metrics": ["accuracy"],
        "callbacks": [],
    }


def start(settings: Settings) -> bool:
    """Start TensorFlow and seed it; return whether its results are portable."""
    wanted = params.load("runtime", runtime.Settings).portable
    portable = runtime.start(wanted)
    if not wanted:
        print(f"runtime.portable is false: using the {runtime.device()}")
    import keras

    # Layers without a name get the same one, whatever ran before in this process.
    keras.utils.clear_session()
    # Layers that draw random numbers without a seed of their own use this one.
    keras.utils.set_random_seed(settings.seed)
    return portable


def train(
    name: str,
    model: "keras.Model",
    dataset: Dataset,
    settings: Settings,
    portable: bool,
    recipe: Recipe = recipe,
) -> stage.Outputs:
    """Train `model` in place; return the outputs of the stage train_`name`.

    `portable` is the result of `start`. Raises UserError if the model does not fit the data, or if
    training diverges.
    """
    from digits.portable import saving

    saving.check(model, f"stages/train_{name}.py", dataset.num_pixels, dataset.num_labels)
    stage.check_declared((paths.model(name), paths.history(name)))
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    history = fit(model, train, validation, settings, portable, recipe, name)
    return {
        paths.model(name): saving.to_bytes(model),
        paths.history(name): formats.csv_bytes(history),
    }


def initial_weights(seed: int, layer: int) -> "keras.initializers.Initializer":
    """Return Keras's default initializer, Glorot uniform, with a random stream for each layer."""
    import keras
    import numpy as np

    stream = np.random.SeedSequence([seed, layer]).generate_state(1)
    return keras.initializers.GlorotUniform(seed=int(stream[0]))


def fit(
    model: "keras.Model",
    train: Split,
    validation: Split,
    settings: Settings,
    portable: bool,
    recipe: Recipe = recipe,
    name: str = "",
) -> dict[str, list[Any]]:
    """Train `model` in place; `portable` is the result of `start`.

    With a `name`, a training that was killed goes on from the state that it kept. Returns the
    history: epoch (from 1) and HISTORY, a value per epoch; without validation images the val_
    columns hold None. Raises UserError if training diverges.
    """
    import keras

    from digits.portable import checkpoint, layers, trainer

    arguments = recipe(settings, -(-len(train.labels) // settings.batch_size))
    history = keras.callbacks.History()
    chosen = [*arguments.pop("callbacks"), history]
    # A layer, loss or metric that mixes the images of a batch must not see the padding of the last.
    mixes = "metrics" in arguments or not layers.separates_images(model)
    pad = not mixes and getattr(arguments["loss"], "reduction", "") == "mean_with_sample_weight"
    epochs = trainer.EpochTrainer(model, train, settings.seed, portable, pad)
    compiled = all(layer.supports_jit for layer in model._flatten_layers())
    epochs.compile(**arguments, jit_compile=compiled)
    unportable = ", ".join(layers.unportable(model)) if portable else ""
    if unportable:
        terminal.warn(f"{unportable} may give different bits on other machines")
    # Left to the first step, creating their variables makes TensorFlow trace it twice.
    epochs.optimizer.build(epochs.trainable_variables)
    epochs.compute_metrics(None, epochs.labels[:1], epochs(epochs.images[:1]))
    started = time.perf_counter()

    def end_epoch(epoch: int, logs: dict[str, float]) -> None:
        nonlocal started
        if not all(map(math.isfinite, logs.values())):
            problem = f"the loss is not finite after epoch {epoch + 1}: training diverged"
            raise UserError(f"{problem}; lower learning_rate in params.yaml")
        values = "  ".join(f"{name} {logs[name]:.4f}" for name in HISTORY if name in logs)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        line = f"epoch {epoch + 1}/{settings.epochs}  {values}  {seconds:.1f} s"
        print(line.replace("accuracy", "acc"), flush=True)

    callbacks, done = [*chosen, keras.callbacks.LambdaCallback(on_epoch_end=end_epoch)], 0
    if name:
        # By now, all code has been imported, which the fingerprint covers.
        kept = checkpoint.Checkpoint(paths.unfinished(name, stage.fingerprint()), chosen)
        callbacks, done = [*callbacks, kept], kept.epochs
    remaining = range(done, settings.epochs)
    epochs.fit(
        trainer.orders(len(train.labels), settings.batch_size, settings.seed, remaining),
        shuffle=False,
        initial_epoch=done,
        epochs=settings.epochs,
        steps_per_epoch=1,
        validation_data=validation if len(validation.labels) else None,
        validation_batch_size=5000,
        callbacks=callbacks,
        verbose=0,
    )
    numbers = [epoch + 1 for epoch in history.epoch]
    columns = {name: history.history.get(name, [None] * len(numbers)) for name in HISTORY}
    return {"epoch": numbers} | columns
