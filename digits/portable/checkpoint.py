"""Keep the state of a long training, so that it goes on after a kill and ends with the same bytes.

Keras's `BackupAndRestore` keeps neither the history nor the state of callbacks.
"""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digits.plumbing import files

Callbacks = list[keras.callbacks.Callback]


def write(path: Path, epochs: int, model: keras.Model, callbacks: Callbacks) -> None:
    """Write the number of epochs that were run, all variables, and the state of the callbacks."""
    arrays: dict[str, Any] = {}

    def name_of(array: object) -> dict[str, str]:
        if not isinstance(array, np.ndarray | np.generic):
            raise TypeError(f"{type(array)} cannot be kept")
        arrays[name := f"array{len(arrays)}"] = array
        return {"array": name}

    attributes = [
        {key: value for key, value in vars(each).items() if key != "_model" and not callable(value)}
        for each in callbacks
    ]
    state = [epochs, [variable.numpy() for variable in _variables(model)], attributes]
    # A training goes on without it where the disk is full, or where a callback keeps more than
    # numbers, texts, lists and arrays.
    with suppress(OSError, TypeError):
        text, content = json.dumps(state, default=name_of), io.BytesIO()
        np.savez(content, json=np.array(text), **arrays)
        files.write(path, content.getvalue())


def read(path: Path) -> Any:
    """Return the number of epochs, the variables, and the state of the callbacks, or None."""
    # The file may be missing, or damaged after a power failure.
    with suppress(Exception), np.load(path) as arrays:
        return json.loads(
            arrays["json"].item(),
            object_hook=lambda found: arrays[found["array"]][()] if "array" in found else found,
        )
    return None


def restore(state: Any, model: keras.Model, callbacks: Callbacks) -> None:
    """Restore what `read` returned."""
    _, values, attributes = state
    for variable, value in zip(_variables(model), values, strict=True):
        variable.assign(value)
    for callback, attribute in zip(callbacks, attributes, strict=True):
        vars(callback).update(attribute)


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
