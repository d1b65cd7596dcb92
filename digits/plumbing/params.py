"""Parse params.yaml, and check it group by group."""

import json
import reprlib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

from digits.plumbing import paths
from digits.plumbing.errors import UserError


class Group(BaseModel):
    """A group of parameters and their allowed values."""

    # strict: "5", 5.0 and true are not the integer 5.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


G = TypeVar("G", bound=Group)
# The groups that this process has loaded, as they were in params.yaml.
loaded: dict[str, Any] = {}


def integer(low: int, high: int) -> Any:
    """Define a field for an integer from `low` to `high`."""
    return Field(ge=low, le=high, description=f"an integer from {low} to {high}")


def number(low: float, high: float) -> Any:
    """Define a field for a number from `low` to `high`."""
    return Field(ge=low, le=high, allow_inf_nan=False, description=f"a number from {low} to {high}")


def seed() -> Any:
    """Define a field for the seed of a random generator."""
    return integer(0, 2**32 - 1)


def load(name: str, group: type[G]) -> G:
    """Return the group `name` of params.yaml. Raises UserError as `read` and `check` do."""
    values = read()
    loaded[name] = values.get(name)
    return check(name, group, values)


def changed() -> list[str]:
    """Return the groups among `loaded` that have changed in params.yaml since."""
    now = read()
    return [f"{paths.PARAMS}: {name}" for name, old in loaded.items() if now.get(name) != old]


def read() -> dict[str, Any]:
    """Return all groups of params.yaml. Raises UserError if it is missing or not YAML."""
    if not paths.PARAMS.is_file():
        raise UserError(f"{paths.PARAMS}: no such file; run it in the project root")
    content = paths.PARAMS.read_bytes()
    try:
        # DVC uses the same parser and YAML version (1.2). It refuses repeated keys.
        values = YAML(typ="safe", pure=True).load(content.decode())
        # Fails if an alias stands within its own anchor.
        json.dumps(values, default=str, skipkeys=True)
    except Exception as error:
        # Besides YAMLError, ruamel.yaml lets through exceptions of int() and of deep nesting.
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        message = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
        raise UserError(f"{paths.PARAMS}{line}: not YAML ({message})") from None
    if not isinstance(values, dict):
        raise UserError(f"{paths.PARAMS}: must hold groups of parameters")
    return values


def check(name: str, group: type[G], values: dict[str, Any]) -> G:
    """Return the group `name` among the `values` of all groups, checked.

    Raises UserError with a line for each problem: the key, its value and the allowed values.
    """
    if name not in values:
        raise UserError(f"{paths.PARAMS}: the group {name} is missing")
    try:
        return group.model_validate(values[name])
    except ValidationError as invalid:
        problems = [f"{paths.PARAMS}: {_explain(name, group, error)}" for error in invalid.errors()]
        raise UserError("\n".join(problems)) from None


def _explain(name: str, group: type[Group], error: Any) -> str:
    """Return a problem that pydantic reports, in words."""
    if not error["loc"]:
        return f"{name} is {reprlib.repr(error['input'])}; must be a group of parameters"
    key, known = str(error["loc"][0]), group.model_fields
    if key not in known:
        return f"{name}.{key} is not a parameter; known here: {', '.join(known)}"
    wanted = f"must be {known[key].description}" if known[key].description else error["msg"]
    value = "missing" if error["type"] == "missing" else reprlib.repr(error["input"])
    number = error["type"] == "string_type" and type(error["input"]) in (int, float)
    hint = f'; quote it: "{value}"' if number else ""
    return f"{name}.{key} is {value}; {wanted}{hint}"
