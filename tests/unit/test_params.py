"""params.yaml: accepted values, and one line for each mistake."""

from importlib import import_module
from pathlib import Path

import pytest

from digits.plumbing import params
from digits.plumbing.errors import UserError
from digits.portable import runtime
from tests.conftest import ROOT, STAGES

GROUPS = {name: import_module(f"stages.{name}").Settings for name in STAGES}
GROUPS |= {"runtime": runtime.Settings}
GOOD = (ROOT / "params.yaml").read_text()


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(GOOD)
    return tmp_path / "params.yaml"


def test_the_groups_of_the_stages_are_what_params_yaml_holds() -> None:
    for name, group in GROUPS.items():
        assert params.load(name, group).model_dump() == params.read()[name]


def test_numbers_are_read_as_dvc_reads_them(path: Path) -> None:
    path.write_text(GOOD.replace("learning_rate: 0.001", "learning_rate: 1e-3"))
    assert params.load("train_hidden", GROUPS["train_hidden"]).learning_rate == 0.001


@pytest.mark.parametrize(
    ("parameter", "values", "wanted"),
    [
        ("train_hidden.units", (0, 10_001, 5.0, "5", True), "an integer from 1 to 10000"),
        ("train_hidden.learning_rate", (0, 2, "1", float("nan")), "a number from 1e-09 to 1"),
        ("prepare.dataset", ("", "../a", "a\n", 2024, None), "the name of a file in data/raw/"),
        ("evaluate.models", ([], "linear"), "a list of at least one name: small letters, digits"),
        ("runtime.portable", ("yes", 1), "true or false"),
    ],
)
def test_a_bad_value(parameter: str, values: tuple[object, ...], wanted: str) -> None:
    good, (group, key) = params.read(), parameter.split(".")
    for value in values:
        with pytest.raises(UserError) as error:
            params.check(group, GROUPS[group], good | {group: good[group] | {key: value}})
        expected = f"params.yaml: {parameter} is {value!r}; must be {wanted}"
        assert str(error.value).startswith(expected)
        assert str(error.value).endswith('; quote it: "2024"') == (value == 2024)


def test_other_mistakes_in_a_group() -> None:
    for values, *messages in (
        ({}, "the group runtime is missing"),
        ({"runtime": 5}, "runtime is 5; must be a group of parameters"),
        (
            {"runtime": {"fast": 1}},
            "runtime.portable is missing; must be true or false",
            "runtime.fast is not a parameter; known here: portable",
        ),
    ):
        with pytest.raises(UserError) as error:
            params.check("runtime", runtime.Settings, values)
        assert str(error.value).splitlines() == [f"params.yaml: {message}" for message in messages]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": must hold groups of parameters"),
        ("a: 1\na: 2\n", r', line 2: not YAML \(found duplicate key "a"'),
        ("a: !!python/object/apply:os.getcwd []", r", line 1: not YAML \(could not determine a co"),
        ("a: &a [*a]", r": not YAML \(Circular reference detected"),
        ("a: \xff", r": not YAML \('utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_file_that_holds_something_else(path: Path, text: str, message: str) -> None:
    path.write_text(text, "latin-1")
    with pytest.raises(UserError, match=rf"^params\.yaml{message}.*$"):
        params.read()
