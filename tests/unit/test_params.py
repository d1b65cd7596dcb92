"""Every kind of mistake in params.yaml, and what is accepted."""

import json
import math
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from digits import params
from digits.errors import UserError
from tests.conftest import committed

GOOD = committed("params.yaml").decode()
DEFAULTS: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(GOOD)
KEYS = [(group, name) for group, values in DEFAULTS.items() for name in values]
RANGES = {
    "validation_size": (0, 10_000_000),
    "seed": (0, 2**32 - 1),
    "epochs": (1, 1000),
    "batch_size": (1, 10_000),
    "units": (1, 10_000),
    "examples": (1, 100),
}
LETTERS = set(string.ascii_letters + string.digits + "_-")


def allowed(name: str, value: object) -> bool:
    if name == "dataset":
        return isinstance(value, str) and 1 <= len(value) <= 100 and set(value) <= LETTERS
    if name == "portable":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "learning_rate":
        return 0 < value <= 1
    low, high = RANGES[name]
    return isinstance(value, int) and low <= value <= high


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """params.yaml in the current folder, with the defaults."""
    monkeypatch.chdir(tmp_path)
    params.PATH.write_text(GOOD)
    return params.PATH


def problems(values: object) -> list[str]:
    """The lines that refuse `values`."""
    with pytest.raises(UserError) as error:
        params.validate(values)
    return str(error.value).splitlines()


def changed(group: str, **values: object) -> dict[str, Any]:
    return DEFAULTS | {group: DEFAULTS[group] | values}


@pytest.mark.usefixtures("path")
def test_defaults() -> None:
    training = {"epochs": 5, "batch_size": 32, "learning_rate": 0.001, "seed": 1}
    expected = {
        "prepare": {"dataset": "mnist", "validation_size": 5000, "seed": 1},
        "train_linear": training,
        "train_hidden": training | {"units": 1000},
        "evaluate": {"examples": 40},
        "runtime": {"portable": True},
    }
    assert params.read().model_dump() == expected
    assert params.dataset() == "mnist"
    for name, field in params.Params.model_fields.items():
        group: Any = field.annotation
        assert params.load(group).model_dump() == expected[name]


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "1E-03", "0.001"])
def test_numbers_are_read_as_dvc_reads_them(path: Path, written: str) -> None:
    path.write_text(GOOD.replace("learning_rate: 0.001", f"learning_rate: {written}"))
    assert params.read().train_hidden.learning_rate == 0.001


VALUES = [None, "a b", "5", 5.5, 5.0, math.nan, math.inf, -1, 0, 10**30, [5], {"value": 5}]


@pytest.mark.parametrize(("group", "name"), KEYS)
def test_every_mistake_in_every_parameter(group: str, name: str) -> None:
    edges = [edge + step for edge in RANGES.get(name, ()) for step in (-1, 0, 1)]
    for value in (*VALUES, *edges):
        values = changed(group, **{name: value})
        if allowed(name, value):
            assert getattr(getattr(params.validate(values), group), name) == value
        else:
            (line,) = problems(values)
            assert line.startswith(f"params.yaml: {group}.{name} is {value!r}; must be ")
    (line,) = problems(changed(group, **{f"{name}_": 1}))
    assert line.startswith(f"params.yaml: {group}.{name}_ is not a parameter; known here: ")
    without = {key: value for key, value in DEFAULTS[group].items() if key != name}
    (line,) = problems(DEFAULTS | {group: without})
    assert line.startswith(f"params.yaml: {group}.{name} is missing; must be ")


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", "a\\b", "a.npz", "a\n", "x" * 101])
def test_a_data_set_name_that_is_no_plain_file_name(name: str) -> None:
    (line,) = problems(changed("prepare", dataset=name))
    assert line.startswith("params.yaml: prepare.dataset is ")
    assert line.endswith("the name of a file in data/raw/ without .npz: letters, digits, - and _")


def test_groups_are_checked_too() -> None:
    (line,) = problems(DEFAULTS | {"runtime": "fast"})
    assert line == "params.yaml: runtime is 'fast'; must be a group of parameters"
    without = {group: values for group, values in DEFAULTS.items() if group != "evaluate"}
    missing, unknown = problems(without | {"evaluation": {}})
    assert missing == "params.yaml: evaluate is missing; must be a group of parameters"
    assert unknown.startswith("params.yaml: evaluation is not a parameter; known here: prepare, ")


def test_all_problems_are_reported_at_once_up_to_a_limit() -> None:
    lines = problems({group: {} for group in DEFAULTS})
    assert len(lines) == params.MOST_PROBLEMS + 1
    assert lines[-1] == f"params.yaml: {len(KEYS) - params.MOST_PROBLEMS} more problems"


# Written out, g would hold ten million words.
LAUGHS = "a: &a [ha]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)
RUNS_CODE = "prepare: !!python/object/apply:os.system ['touch owned']"
TEXTS: list[tuple[str, str | bytes]] = [
    (": must hold the groups prepare, train_linear, train_hidden, evaluate, runtime, not", ""),
    (": must hold the groups prepare", "- a\n- b\n"),
    (": must hold the groups", "one word"),
    (": prepare is missing", "{a: 1}"),
    (", line 2: found character '\\t'", "prepare:\n\tseed: 1\n"),
    (', line 7: found duplicate key "seed"', GOOD.replace("seed: 1", "seed: 1\n  seed: 2", 1)),
    (', line 2: found duplicate key "a b"', '"a\\nb": 1\n"a\\nb": 2'),
    (", line 6: could not find expected", GOOD[: GOOD.index("seed") + 2]),
    (", line 1: expected the node content", "prepare: {"),
    (": not UTF-8 (", "# größer".encode("latin-1")),
    (", line 1: could not determine a constructor for the tag", RUNS_CODE),
    (": not YAML (invalid literal for int()", "prepare: !!int x"),
    (": not YAML (month must be in 1..12)", "prepare: 2020-99-99"),
    (", line 27: but found another document", f"{GOOD}---\na: 1\n"),
    (": not YAML (maximum recursion depth", "prepare: " + "[" * 1000),
    (": prepare.dataset is [[[...]]]; must be", GOOD.replace("mnist", "&a [*a]")),
    (": 5 is not a parameter", f"{GOOD}5: 1\n"),
    (": (1,) is not a parameter", f"{GOOD}? [1]\n: 1\n"),
    (": not YAML (Exceeds the limit", GOOD.replace("1000", "9" * 5000)),
    (": train_hidden.units is a number of thousands", GOOD.replace("1000", "0x" + "f" * 5000)),
    (": prepare.dataset is 'xxxx", GOOD.replace("mnist", "x" * 100_000)),
    (": prepare.dataset is [[", LAUGHS + GOOD.replace("mnist", "*g")),
    (", line 1: ", "*" * 100_000),
]


@pytest.mark.parametrize(("message", "text"), TEXTS, ids=[message for message, _ in TEXTS])
def test_a_file_that_holds_something_else(path: Path, message: str, text: str | bytes) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        params.read()
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f"params.yaml{message}")
    assert len(lines) <= 1 + params.MOST_PROBLEMS
    assert all(line.startswith("params.yaml") and len(line) < 600 for line in lines)
    assert not Path("owned").exists()


def test_no_file(path: Path) -> None:
    path.unlink()
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run from the top"):
        params.read()
    path.symlink_to(path)
    with pytest.raises(OSError, match=r"Too many levels of symbolic links: 'params\.yaml'"):
        params.read()
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=r"params\.yaml"):
        params.read()


NUMBERS = st.integers() | st.integers(-1, 20_000) | st.floats() | st.floats(0, 1)
ANYTHING = (
    NUMBERS | st.none() | st.booleans() | st.text() | st.from_regex(r"[\w-]+", fullmatch=True)
)


@given(key=st.sampled_from(KEYS), value=ANYTHING | st.lists(NUMBERS, max_size=2))
def test_any_value_is_accepted_as_it_is_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, str], value: object
) -> None:
    group, name = key
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(json.dumps(changed(group, **{name: value})))
    if allowed(name, value):
        accepted = getattr(getattr(params.read(path), group), name)
        assert accepted == value
        assert type(accepted) is type(DEFAULTS[group][name])
    else:
        with pytest.raises(UserError, match=r"params\.yaml"):
            params.read(path)


@given(cut=st.integers(0, len(GOOD)), put=st.text(max_size=20), skip=st.integers(0, 50))
def test_any_edit_gives_parameters_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, cut: int, put: str, skip: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(GOOD[:cut] + put + GOOD[cut + skip :], "utf-8")
    try:
        params.read(path)
    except UserError as error:
        assert all("params.yaml" in line for line in str(error).splitlines())
