"""Check all groups of params.yaml, each by the stage that reads it."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from digits.plumbing import params, paths
from digits.plumbing.errors import UserError
from digits.portable import runtime
from revisions import compare
from stages import evaluate, prepare


def check(values: dict[str, Any]) -> None:
    """Check the `values` of all groups; raise UserError for the first group with problems."""
    params.check("prepare", prepare.Settings, values)
    params.check("runtime", runtime.Settings, values)
    params.check("compare", compare.Settings, values)
    for model in params.check("evaluate", evaluate.Settings, values).models:
        stage = f"train_{model}"
        if not find_spec(f"stages.{stage}"):
            problem = f"evaluate.models has {model}, but no stages/{stage}.py"
            raise UserError(f"{paths.PARAMS}: {problem}")
        params.check(stage, import_module(f"stages.{stage}").Settings, values)
