"""Keep the state of a long training, so that it goes on after a kill and ends with the same bytes.

Keras's `BackupAndRestore` keeps neither the history nor the state of callbacks.
"""

import io
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digits.plumbing import files

KEPT_EVERY_SECONDS = 30


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a training at `path`, also that of the `others`, and goes on from there.

    It is the last of the callbacks, and removes all other files of the folder.
    """

    def __init__(self, path: Path, others: list[keras.callbacks.Callback]) -> None:
        super().__init__()
        self.path, self.others = path, others
        self.kept = time.perf_counter()
        for old in {*path.parent.glob("*")} - {path}:
            old.unlink()
        # The number of epochs that were run, the variables, and the attributes of the others.
        self.epochs, self.values, self.attributes = 0, [], []
        # The file may be missing, or damaged after a power failure.
        with suppress(Exception), np.load(path) as arrays:
            self.epochs, self.values, self.attributes = json.loads(
                arrays["json"].item(),
                object_hook=lambda read: arrays[read["array"]][()] if "array" in read else read,
            )

    def on_train_begin(self, logs: object = None) -> None:
        if self.epochs:
            print(f"epoch {self.epochs + 1} of {self.params['epochs']}, continued", flush=True)
            for variable, value in zip(self._variables(), self.values, strict=True):
                variable.assign(value)
            for other, attributes in zip(self.others, self.attributes, strict=True):
                vars(other).update(attributes)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if not last and time.perf_counter() - self.kept >= KEPT_EVERY_SECONDS:
            # A training goes on without it where the disk is full, or where a callback keeps more
            # than numbers, texts, lists and arrays.
            with suppress(OSError, TypeError, ValueError):
                self.write(epoch + 1)
            self.kept = time.perf_counter()

    def on_train_end(self, logs: object = None) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, epochs: int) -> None:
        """Write the state after a number of epochs."""
        attributes = [
            {name: value for name, value in vars(other).items() if not callable(value)}
            for other in self.others
        ]
        state = [epochs, [variable.numpy() for variable in self._variables()], attributes]
        arrays: dict[str, Any] = {}

        def name_of(array: object) -> dict[str, str]:
            if not isinstance(array, np.ndarray | np.generic):
                raise TypeError(f"{type(array)} cannot be kept")
            arrays[name := f"array{len(arrays)}"] = array
            return {"array": name}

        text, content = json.dumps(state, default=name_of), io.BytesIO()
        np.savez(content, json=np.array(text), allow_pickle=False, **arrays)
        files.write(self.path, content.getvalue())

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]
