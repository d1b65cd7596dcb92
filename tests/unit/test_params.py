"""Every kind of mistake in params.yaml, and what is accepted."""

import json
import math
from collections.abc import Callable
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
DEFAULTS: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(GOOD)
KEYS = [(group, name) for group, values in DEFAULTS.items() for name in values]


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


def test_defaults(path: Path) -> None:
    assert params.read(path).model_dump() == {
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


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "group", [field.annotation for field in params.Params.model_fields.values()]
)
def test_a_stage_gets_its_group(group: type[params.Group]) -> None:
    loaded = params.load(group)
    assert type(loaded) is group
    assert loaded.model_dump() in DEFAULTS.values()
    assert params.dataset() == "mnist"


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "1E-03", "0.001"])
def test_numbers_are_read_as_dvc_reads_them(path: Path, written: str) -> None:
    path.write_text(GOOD.replace("learning_rate: 0.001", f"learning_rate: {written}"))
    assert params.read().train_hidden.learning_rate == 0.001


INVALID = [None, "yes", "5", 5.5, 5.0, math.nan, math.inf, -1, 0, 10**30, [5], {"value": 5}]
ALLOWED = {
    "dataset": ("yes", "5"),
    "validation_size": (0,),
    "seed": (0,),
}


@pytest.mark.parametrize(("group", "name"), KEYS)
def test_every_mistake_in_every_parameter(group: str, name: str) -> None:
    for value in INVALID:
        if type(value) in (int, str) and value in ALLOWED.get(name, ()):
            params.validate(changed(group, **{name: value}))
        else:
            (line,) = problems(changed(group, **{name: value}))
            assert line.startswith(f"params.yaml: {group}.{name} is {value!r}; must be ")
    (line,) = problems(changed(group, **{f"{name}_": 1}))
    assert line.startswith(f"params.yaml: {group}.{name}_ is not a parameter; known here: ")
    without = {key: value for key, value in DEFAULTS[group].items() if key != name}
    (line,) = problems(DEFAULTS | {group: without})
    assert line.startswith(f"params.yaml: {group}.{name} is missing; must be ")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../mnist", "a/b", "a\\b", "mnist.npz", "a b", "mnist\n", "é", "x" * 101],
)
def test_a_dataset_name_that_is_no_plain_file_name(name: str) -> None:
    (line,) = problems(changed("prepare", dataset=name))
    assert "prepare.dataset is " in line
    assert line.endswith("the name of a file in data/raw/ without .npz: letters, digits, - and _")


@pytest.mark.parametrize("name", ["mnist", "Fashion-MNIST_2", "0", "x" * 100])
def test_a_dataset_name(name: str) -> None:
    assert params.validate(changed("prepare", dataset=name)).prepare.dataset == name


def test_groups_are_checked_too() -> None:
    assert problems(DEFAULTS | {"runtime": "fast"}) == [
        "params.yaml: runtime is 'fast'; must be a group of parameters"
    ]
    lines = problems(
        {"evaluation" if key == "evaluate" else key: DEFAULTS[key] for key in DEFAULTS}
    )
    assert lines == [
        "params.yaml: evaluate is missing; must be a group of parameters",
        "params.yaml: evaluation is not a parameter; known here: prepare, train_linear, "
        "train_hidden, evaluate, runtime",
    ]


def test_all_problems_are_reported_at_once_up_to_a_limit() -> None:
    assert len(problems(changed("train_hidden", units=0, epochs="many"))) == 2
    empty: dict[str, Any] = {group: {} for group in DEFAULTS}
    lines = problems(empty)
    assert len(lines) == params.MOST_PROBLEMS + 1
    assert lines[-1] == f"params.yaml: {len(KEYS) - params.MOST_PROBLEMS} more problems"


# Written out, g would hold ten million words.
LAUGHS = "a: &a [ha]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": (
        "",
        ": must hold the groups prepare, train_linear, train_hidden, evaluate, runtime, ",
    ),
    "a list": ("- a\n- b\n", ": must hold the groups prepare"),
    "one word": ("fast\n", ": must hold the groups prepare"),
    "tabs": ("prepare:\n\tseed: 1\n", ", line 2: found character '\\t'"),
    "a key twice": (
        GOOD.replace("  seed: 1", "  seed: 1\n  seed: 2", 1),
        ', line 7: found duplicate key "seed"',
    ),
    "a key of two lines twice": ('"a\\nb": 1\n"a\\nb": 2', ', line 2: found duplicate key "a b"'),
    "truncated": (GOOD[: GOOD.index("seed") + 2], ", line 6: could not find expected"),
    "half a bracket": ("prepare: {", ", line 1: "),
    "not UTF-8": ("# größer".encode("latin-1"), ": not UTF-8 ("),
    "a tag that runs code": (
        "prepare: !!python/object/apply:os.system ['touch owned']",
        ", line 1: could not determine a constructor for the tag",
    ),
    "a tag that does not fit": ("prepare: !!int x", ": not YAML (invalid literal for int()"),
    "no date": ("prepare: 2020-99-99", ": not YAML (month must be in 1..12)"),
    "two documents": (f"{GOOD}---\na: 1\n", ", line 27: but found another document"),
    "nested too deep": ("prepare: " + "[" * 1000, ": not YAML ("),
    "a value that holds itself": (
        GOOD.replace("mnist", "&a [*a]"),
        ": prepare.dataset is [[[...]]]; must be",
    ),
    "a key that is no text": (f"{GOOD}5: 1\n", ": 5 is not a parameter"),
    "a key that is a list": (f"{GOOD}? [1]\n: 1\n", ": (1,) is not a parameter"),
    "everything wrong": ("{a: 1}", ": prepare is missing"),
    "a number of 5,000 digits": (GOOD.replace("1000", "9" * 5000), ": not YAML (Exceeds the limit"),
    "5,000 digits in base 16": (
        GOOD.replace("1000", "0x" + "f" * 5000),
        ": train_hidden.units is a number of thousands of digits; must be",
    ),
    "a long word": (GOOD.replace("mnist", "x" * 100_000), ": prepare.dataset is 'xxxx"),
    "a value that doubles": (LAUGHS + GOOD.replace("mnist", "*g"), ": prepare.dataset is [["),
    "a long line": ("*" * 100_000, ", line 1: "),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_file_that_holds_something_else(path: Path, case: str) -> None:
    text, message = TEXTS[case]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        params.read()
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f"params.yaml{message}")
    assert len(lines) <= 1 + params.MOST_PROBLEMS
    assert all(line.startswith("params.yaml") and len(line) < 600 for line in lines)
    assert not Path("owned").exists()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda path: None, UserError, "params.yaml: no such file; run from the top of the repos"),
        (Path.mkdir, IsADirectoryError, "Is a directory: 'params.yaml'"),
        (loop, OSError, "Too many levels of symbolic links: 'params.yaml'"),
    ],
    ids=["absent", "a folder", "a link to itself"],
)
def test_no_file(
    path: Path, make: Callable[[Path], None], kind: type[Exception], message: str
) -> None:
    path.unlink()
    make(path)
    with pytest.raises(kind, match=message):
        params.read()


RANGES = {
    "validation_size": (0, 10_000_000),
    "seed": (0, 2**32 - 1),
    "epochs": (1, 1000),
    "batch_size": (1, 10_000),
    "units": (1, 10_000),
    "examples": (1, 100),
}
EDGES = st.sampled_from(
    [edge + d for edges in RANGES.values() for edge in edges for d in (-1, 0, 1)]
)
NUMBERS = st.integers() | EDGES | st.floats() | st.floats(0, 1)
VALUES = NUMBERS | st.none() | st.booleans() | st.text() | st.from_regex(r"[\w-]+", fullmatch=True)
LETTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


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


@given(key=st.sampled_from(KEYS), value=VALUES | st.lists(NUMBERS, max_size=2))
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
