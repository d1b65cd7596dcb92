"""Check all groups of params.yaml, each by the stage that reads it."""

import shutil
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dvc.utils.flatten import flatten
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from digits.plumbing import params, paths
from digits.plumbing.errors import UserError
from digits.portable import runtime
from revisions import compare
from revisions.files import format_value
from stages import evaluate, prepare


def check(values: dict[str, Any]) -> None:
    """Check the `values` of all groups; raise UserError for the first group with problems."""
    params.check("prepare", prepare.Settings, values)
    params.check("runtime", runtime.Settings, values)
    params.check("compare", compare.Settings, values)
    for model in params.check("evaluate", evaluate.Settings, values).models:
        stage = f"train_{model}"
        if not find_spec(f"stages.{stage}"):
            raise UserError(
                f"{paths.PARAMS}: evaluate.models has {model}, but no stages/{stage}.py"
            )
        params.check(stage, import_module(f"stages.{stage}").Settings, values)


def overridden(overrides: Sequence[str]) -> dict[str, str]:
    """Return all parameters, changed as by `dvc exp run -S`, with values as in dvc.lock.

    Raises UserError as `check` does, and different errors if DVC refuses an override.
    """
    with tempfile.TemporaryDirectory() as folder:
        changed = shutil.copy(paths.PARAMS, folder)
        apply_overrides(changed, overrides)
        values = load_yaml(changed)
    check(values)
    return {key: format_value(value) for key, value in flatten(values).items()}
