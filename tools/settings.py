"""All groups of parameters, each checked by the stage that reads it."""

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from digits import params, paths, runtime
from digits.errors import UserError
from stages import evaluate, prepare


def check(values: dict[str, Any], source: str = str(paths.PARAMS)) -> None:
    """Check the `values` of all groups; raise UserError with a line for each problem."""
    groups: dict[str, type[params.Group]] = {
        "prepare": prepare.Settings,
        "evaluate": evaluate.Settings,
        "runtime": runtime.Settings,
    }
    problems = []
    models: list[str] = []
    with suppress(UserError):
        # If it fails, so does the check below.
        models = params.check("evaluate", evaluate.Settings, values, source).models
    for model in models:
        stage = f"train_{model}"
        if find_spec(f"stages.{stage}"):
            groups[stage] = import_module(f"stages.{stage}").Settings
        else:
            problems.append(f"{source}: evaluate.models has {model}, but no stages/{stage}.py")
    for name, group in groups.items():
        try:
            params.check(name, group, values, source)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
