"""params.yaml, parsed and checked: one class per group."""

import reprlib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from digits import origin
from digits.errors import UserError

PATH = Path("params.yaml")
MOST_PROBLEMS = 5
MOST_UNITS = 10_000
LONGEST_QUOTE = 200
# Shortens what is long or deeply nested.
SHORT = reprlib.Repr()
SHORT.maxstring, SHORT.maxlevel = 80, 2


def _whole(low: int, high: int) -> Any:
    return Field(ge=low, le=high, description=f"a whole number from {low} to {high}")


def _seed() -> Any:
    return _whole(0, 2**32 - 1)


class Group(BaseModel):
    """One of the groups in params.yaml."""

    # strict: "5", 5.0 and true are not the whole number 5.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Prepare(Group):
    """The data set, and how many of its training images are held out for validation."""

    dataset: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,100}$",
        description="the name of a file in data/raw/ without .npz: letters, digits, - and _",
    )
    validation_size: int = _whole(0, 10_000_000)
    seed: int = _seed()


class Hyperparameters(Group):
    """The hyperparameters that both models have."""

    epochs: int = _whole(1, 1000)
    batch_size: int = _whole(1, 10_000)
    learning_rate: float = Field(
        gt=0, le=1, allow_inf_nan=False, description="a number above 0, at most 1"
    )
    seed: int = _seed()


class TrainLinear(Hyperparameters):
    """The single dense layer."""


class TrainHidden(Hyperparameters):
    """The model with a hidden layer of `units`."""

    units: int = _whole(1, MOST_UNITS)


class Evaluate(Group):
    """How many images the example picture shows."""

    examples: int = _whole(1, 100)


class Runtime(Group):
    """Whether results are the same bits on every processor, or as fast as possible on this one."""

    portable: bool = Field(description="true or false")


class Params(Group):
    """The whole of params.yaml."""

    prepare: Prepare
    train_linear: TrainLinear
    train_hidden: TrainHidden
    evaluate: Evaluate
    runtime: Runtime


G = TypeVar("G", bound=Group)


def load(group: type[G]) -> G:
    """One group of the parameters, such as `load(Prepare)`; the whole file is checked.

    Raises UserError as `validate` does, or if the file is absent or is not YAML.
    """
    (name,) = (name for name, field in Params.model_fields.items() if field.annotation is group)
    values: G = getattr(read(), name)
    origin.use(f"{PATH}: {name}", values, lambda: getattr(read(), name))
    return values


def dataset() -> str:
    """The data set's name, for a stage that uses no other parameter of `Prepare`."""
    name = read().prepare.dataset
    origin.use(f"{PATH}: prepare.dataset", name, lambda: read().prepare.dataset)
    return name


def read(path: Path = PATH) -> Params:
    """Read and check all parameters. Raises UserError as `load` does."""
    return validate(_read_yaml(path), path)


def validate(values: object, source: object = PATH) -> Params:
    """Check the parameters that were read from `source`.

    Raises UserError with a line for each of the first MOST_PROBLEMS, naming the key, its value and
    what is allowed.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as invalid:
        problems = [f"{source}: {_explain(error)}" for error in invalid.errors()]
        if len(problems) > MOST_PROBLEMS:
            problems[MOST_PROBLEMS:] = [f"{source}: {len(problems) - MOST_PROBLEMS} more problems"]
        raise UserError("\n".join(problems)) from None


def _read_yaml(path: Path) -> object:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the top of the repository") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error})") from None
    # The parser and the YAML version (1.2) that DVC itself uses; it refuses repeated keys.
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{path}{line}: {what[:LONGEST_QUOTE]}") from None
    except Exception as error:
        # Besides YAMLError, ruamel.yaml lets through what int(), date() and deep nesting raise.
        what = " ".join(str(error).split())
        raise UserError(f"{path}: not YAML ({what[:LONGEST_QUOTE]})") from None


def _explain(error: Any) -> str:
    """One problem that pydantic found, in words."""
    location = [str(part) for part in error["loc"]]
    key = _shown(".".join(location))[1:-1]
    parent: type[BaseModel] = Params
    for part in location[:-1]:
        parent = parent.model_fields[part].annotation  # type: ignore[assignment]
    known = parent.model_fields
    if not location:
        return f"must hold the groups {', '.join(known)}, not {_shown(error['input'])}"
    if location[-1] not in known:
        return f"{key} is not a parameter; known here: {', '.join(known)}"
    wanted = known[location[-1]].description or "a group of parameters"
    if error["type"] == "missing":
        return f"{key} is missing; must be {wanted}"
    return f"{key} is {_shown(error['input'])}; must be {wanted}"


def _shown(value: object) -> str:
    try:
        return SHORT.repr(value)
    except ValueError:
        # Python writes no number of more than 4,300 digits.
        return "a number of thousands of digits"
