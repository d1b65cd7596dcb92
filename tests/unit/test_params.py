"""params.yaml: what is accepted, and one line for each mistake."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from digits import params, runtime
from digits.errors import UserError
from stages import evaluate, prepare, train_hidden, train_linear
from tests.conftest import ROOT

GROUPS: dict[str, Any] = {
    "prepare": prepare.Settings,
    "train_linear": train_linear.Settings,
    "train_hidden": train_hidden.Settings,
    "evaluate": evaluate.Settings,
    "runtime": runtime.Settings,
}
GOOD = (ROOT / "params.yaml").read_text()


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "params.yaml"
    file.write_text(GOOD)
    return file


def refused(name: str, **changes: object) -> str:
    values = params.read()
    with pytest.raises(UserError) as error:
        params.check(name, GROUPS[name], values | {name: values[name] | changes})
    (line,) = str(error.value).splitlines()
    return line.removeprefix(f"params.yaml: {name}.")


def test_the_groups_of_the_stages_are_what_params_yaml_holds() -> None:
    values = params.read()
    for name, group in GROUPS.items():
        assert params.load(name, group).model_dump() == values[name]


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "1E-03", "0.001"])
def test_numbers_are_read_as_dvc_reads_them(path: Path, written: str) -> None:
    path.write_text(re.sub("learning_rate: .*", f"learning_rate: {written}", GOOD))
    assert params.load("train_linear", train_linear.Settings).learning_rate == 0.001


COUNT = "must be an integer from 1 to 10000"
RATE = "must be a number from 1e-09 to 1"
NAME = "must be the name of a file in data/raw/ without .npz: letters, digits, - and _"
MODELS = "must be a list of at least one name: small letters, digits and _"
MISTAKES: list[tuple[str, str, object, str]] = [
    *(("train_hidden", "units", value, COUNT) for value in (0, 10_001, 5.0, "5", True)),
    ("train_linear", "seed", -1, "must be an integer from 0 to 4294967295"),
    *(("train_linear", "learning_rate", value, RATE) for value in (0, 1.5, float("nan"), "0.1")),
    *(("prepare", "dataset", value, NAME) for value in ("", "../a", "a.npz", "a\n", 5)),
    ("evaluate", "models", [], MODELS),
    ("runtime", "portable", "yes", "must be true or false"),
]


@pytest.mark.parametrize(("group", "key", "value", "wanted"), MISTAKES)
def test_a_bad_value(group: str, key: str, value: object, wanted: str) -> None:
    assert refused(group, **{key: value}) == f"{key} is {value!r}; {wanted}"


def test_other_mistakes_in_a_group() -> None:
    assert refused("runtime", fast=1) == "fast is not a parameter; known here: portable"
    for values, message in (
        ({}, "params.yaml: the group runtime is missing"),
        ({"runtime": 5}, "params.yaml: runtime is 5; must be a group of parameters"),
        ({"runtime": {}}, "params.yaml: runtime.portable is missing; must be true or false"),
    ):
        with pytest.raises(UserError, match=f"^{message}$"):
            params.check("runtime", runtime.Settings, values)
    with pytest.raises(UserError) as error:
        many = {str(number): number for number in range(10)}
        params.check("runtime", runtime.Settings, {"runtime": many}, source="a.yaml")
    assert len(str(error.value).splitlines()) == params.MAX_PROBLEMS + 1
    assert str(error.value).endswith("\na.yaml: 6 more problems")


def test_a_field_may_have_a_default_and_no_description(path: Path) -> None:
    class Mine(params.Group):
        dropout: float = Field(0.5, ge=0, lt=1)

    path.write_text("mine: {}\n")
    assert params.load("mine", Mine).dropout == 0.5
    assert "params.yaml: mine" not in params.changed()
    path.write_text("mine: {dropout: 0.25}\n")
    assert "params.yaml: mine" in params.changed()
    with pytest.raises(UserError, match=r"^params\.yaml: mine\.dropout is 2; Input should be less"):
        params.check("mine", Mine, {"mine": {"dropout": 2}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": must hold groups of parameters"),
        ("a:\n\tb: 1\n", r", line 2: not YAML \(found character '\\t' that cannot start any token"),
        ("a: 1\na: 2\n", r', line 2: not YAML \(found duplicate key "a"'),
        (
            "a: !!python/object/apply:os.getcwd []",
            ", line 1: not YAML .could not determine a const",
        ),
        ("a: \xff", r": not YAML \('utf-8' codec can't decode byte 0xff"),
        ("a: !!int x", r": not YAML \(invalid literal for int"),
    ],
)
def test_a_file_that_holds_something_else(path: Path, text: str, message: str) -> None:
    path.write_text(text, "latin-1")
    with pytest.raises(UserError, match=rf"^params\.yaml{message}") as error:
        params.read()
    assert len(str(error.value).splitlines()) == 1
    path.unlink()
    with pytest.raises(UserError, match=r"^params\.yaml: no such file; run from the top"):
        params.read()
