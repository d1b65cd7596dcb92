import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages.lib import params
from stages.lib.errors import UserError
from tests.conftest import committed

GOOD = committed("params.yaml").decode()


def load(tmp_path: Path, text: str) -> params.Params:
    path = tmp_path / "params.yaml"
    path.write_text(text, "utf-8")
    return params.load(path)


def test_defaults_are_the_agreed_ones(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).model_dump() == {
        "prepare": {"dataset": "mnist", "validation_size": 5000, "seed": 1},
        "train_linear": {"epochs": 5, "batch_size": 32, "learning_rate": 0.001, "seed": 1},
        "train_hidden": {
            "units": 1000,
            "epochs": 5,
            "batch_size": 32,
            "learning_rate": 0.001,
            "seed": 1,
        },
        "evaluate": {"examples": 40},
        "runtime": {"portable": True},
    }


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "1E-03", "0.001"])
def test_numbers_mean_what_they_mean_to_dvc(tmp_path: Path, written: str) -> None:
    text = GOOD.replace("learning_rate: 0.001", f"learning_rate: {written}")
    assert load(tmp_path, text).train_hidden.learning_rate == 0.001


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("dataset: mnist", "dataset: cifar", "prepare.dataset is 'cifar'; must be mnist or uci_"),
        ("size: 5000", "size: 30001", "is 30001; must be a whole number from 0 to 30000"),
        ("units: 1000", "units: 0", "train_hidden.units is 0; must be a whole number from 1 to"),
        ("rate: 0.001", "rate: 1.1", "train_linear.learning_rate is 1.1; must be a number above 0"),
        ("portable: true", "portable: 1", "runtime.portable is 1; must be true or false"),
        ("evaluate:", "evaluation:", "evaluate is missing; must be a group of parameters"),
        ("evaluate:", "evaluation:", "evaluation is not a parameter; known here: prepare, train_"),
        ("runtime:\n", "runtime: fast\nx:\n", "runtime is 'fast'; must be a group of parameters"),
        ("units: 1000", "units: !!bool 3", "not YAML"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    tmp_path: Path, good: str, bad: str, message: str
) -> None:
    """Every kind of mistake in every parameter is in tests/pipeline/test_bad_input.py."""
    assert good in GOOD
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, GOOD.replace(good, bad, 1))
    assert all("params.yaml: " in line for line in str(error.value).splitlines())


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("units: 1000", "units: 0").replace("examples: 40", "examples: many")
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert len(str(error.value).splitlines()) == 2


# Written out, g would hold ten million words.
LAUGHS = "a: &a [ha]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [GOOD.replace("mnist", "x" * 100_000), LAUGHS + GOOD.replace("mnist", "*g"), "*" * 100_000],
    ids=["a long word", "a value that doubles itself", "a long line"],
)
def test_a_message_stays_short(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert len(str(error.value)) < 2000
    assert len(str(error.value).splitlines()) <= 1 + params.MOST_PROBLEMS


RANGES = {
    "validation_size": (0, 30_000),
    "seed": (0, 2**32 - 1),
    "epochs": (1, 1000),
    "batch_size": (1, 10_000),
    "units": (1, 10_000),
    "examples": (1, 100),
}
DEFAULTS: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(GOOD)
NUMBERS = st.integers() | st.integers(-1, 40_000) | st.floats() | st.floats(0, 1)
VALUES = NUMBERS | st.none() | st.booleans() | st.text() | st.sampled_from(["mnist", "uci_digits"])
KEYS = [(group, name) for group, values in DEFAULTS.items() for name in values]


def allowed(name: str, value: object) -> bool:
    if name == "dataset":
        return value in ("mnist", "uci_digits")
    if name == "portable":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "learning_rate":
        return 0 < value <= 1
    low, high = RANGES[name]
    return isinstance(value, int) and low <= value <= high


@given(key=st.sampled_from(KEYS), value=VALUES | st.lists(NUMBERS, max_size=2))
def test_any_value_is_taken_as_it_is_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, str], value: object
) -> None:
    group, name = key
    text = json.dumps(DEFAULTS | {group: DEFAULTS[group] | {name: value}})
    folder = tmp_path_factory.getbasetemp()
    if allowed(name, value):
        taken = getattr(getattr(load(folder, text), group), name)
        assert taken == value
        assert type(taken) is type(DEFAULTS[group][name])
    else:
        with pytest.raises(UserError, match=r"params\.yaml"):
            load(folder, text)


@given(cut=st.integers(0, len(GOOD)), put=st.text(max_size=20), skip=st.integers(0, 50))
def test_whatever_is_typed_into_it_gives_parameters_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, cut: int, put: str, skip: int
) -> None:
    try:
        load(tmp_path_factory.getbasetemp(), GOOD[:cut] + put + GOOD[cut + skip :])
    except UserError as error:
        assert "params.yaml" in str(error)
