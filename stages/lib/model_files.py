"""What a .keras file may hold, checked before Keras opens it (no TensorFlow in here)."""

import json
import zipfile
from pathlib import Path
from typing import Any

from stages.lib import files
from stages.lib.errors import UserError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# The widest hidden layer that params.yaml allows takes 32 MB.
LARGEST_UNPACKED_BYTES = 256 * 2**20


def check(path: Path) -> None:
    """See that NAME.keras is intact and holds a model called NAME, made of Keras's own layers.

    Raises UserError if not, or if the file is absent.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            files.refuse_bomb(archive, LARGEST_UNPACKED_BYTES)
            _refuse_other_entries(archive)
            config = json.loads(archive.read(CONFIG))
        _refuse_custom(config)
        name = config["config"]["name"]
    except Exception as error:
        # zipfile, zlib and json each raise several kinds for a damaged file.
        raise UserError(f"{path}: not a usable Keras model ({files.first_line(error)})") from error
    if name != path.stem:
        raise UserError(f"{path}: it holds the model {name!r}, not {path.stem!r}")


def _refuse_other_entries(archive: zipfile.ZipFile) -> None:
    names, expected = set(archive.namelist()), {CONFIG, METADATA, WEIGHTS}
    if names - expected:
        raise ValueError(f"it holds {min(names - expected)!r}, which is no part of a model")
    if expected - names:
        raise ValueError(f"it lacks {min(expected - names)}")
    damaged = archive.testzip()
    if damaged:
        raise ValueError(f"{damaged} is damaged")


def _refuse_custom(config: Any) -> None:
    if isinstance(config, dict):
        module = config.get("module")
        if config.get("class_name") == "Lambda" or config.get("registered_name"):
            raise ValueError(f"it holds code or a custom object: {config.get('class_name')}")
        if module is not None and str(module).split(".")[0] != "keras":
            raise ValueError(f"it needs the module {module!r}, which is not Keras's")
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            _refuse_custom(item)
