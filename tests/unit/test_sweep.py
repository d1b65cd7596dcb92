"""Grids and searches, and mistakes that a sweep refuses before it starts a cluster."""

import math
from copy import deepcopy
from unittest.mock import patch

import numpy as np
import pytest

from digits.plumbing.errors import UserError
from revisions import runs
from sweep import experiments
from sweep.__main__ import main
from tests.conftest import MODELS

UNITS = "train_hidden.units=8"
RATES = "train_hidden.learning_rate=tag(log, interval(1e-4, 1e-2))"


def test_options_are_multiplied_and_named_whatever_their_order() -> None:
    grid = experiments.grid(["train_hidden.units=8,16", "train_hidden.seed=range(1,4)"])
    assert len(grid) == 6
    assert ["train_hidden.units=16", "train_hidden.seed=3"] in grid.values()
    other = "train_hidden.seed=2"
    assert experiments.name([UNITS, other]) == experiments.name([other, UNITS])
    assert experiments.name([UNITS, other]).startswith("seed=2-units=8-")
    # Reads the same without the groups.
    assert experiments.name(["train_linear.seed=2"]) != experiments.name([other])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["train_hidden.units=8,0"], "train_hidden.units is 0; must be"),
        (["train_hiden.units=8"], "Could not override 'train_hiden.units'"),
        (["train_hidden.units=range(1,10,0)"], "range() arg 3 must not be zero"),
        (["~evaluate"], "the group evaluate is missing"),
        ([RATES], "an interval needs --trials"),
        (["train_hidden.epochs=interval(0,9)", "--trials=9"], "train_hidden.epochs is 0.0; must"),
        (["prepare.seed=1,2", "--trials=9"], "a search needs validation images, the same in all"),
    ],
)
def test_an_invalid_option_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, options: list[str], reason: str
) -> None:
    monkeypatch.setattr("sys.argv", ["sweep", "-S", "runtime.portable=true", "-S", *options])
    with pytest.raises(UserError) as refusal:
        main()
    (line,) = str(refusal.value).splitlines()
    assert line.startswith("-S runtime.portable=true ") and reason in line


def test_whose_accuracy_counts_is_said_or_asked_for() -> None:
    options = [f"train_{name}.epochs=1,2" for name in MODELS]
    assert experiments.Search(options, MODELS[-1], seed=1).model == MODELS[-1]
    for model in (None, "nobody")[len(MODELS) == 1 :]:
        with pytest.raises(UserError, match=r"^--model: whose validation accuracy counts, "):
            experiments.Search(options, model, seed=1)


def height(rate: float, units: float) -> float:
    # A hill, whose top is at 0.002 and 1300.
    return -(math.log10(rate / 0.002) ** 2) - ((units - 1300) / 1000) ** 2


def searched(total: int, seed: int = 1, start: int = 0) -> list[tuple[dict[str, str], float]]:
    """The experiments of a search, interrupted at `start`, for the top of the hill."""
    done = searched(start, seed) if start else []
    search = experiments.Search([RATES, "train_hidden.units=range(100, 2001, 100)"], None, seed)
    with patch.object(runs, "experiments", lambda *_: deepcopy(done)):
        for _, overrides in search.proposals("commit", total, set()):
            parameters = dict(override.split("=") for override in overrides)
            done.append((parameters, height(*map(float, parameters.values()))))
    return done


def test_a_search_beats_chance() -> None:
    wins = 0
    for seed in range(10):
        chance = np.random.default_rng(seed)
        rates, units = 10 ** chance.uniform(-4, -2, 30), 100 * chance.integers(1, 21, 30)
        wins += max(map(height, rates, units)) < max(found for _, found in searched(30, seed))
    assert wins >= 8


def test_an_interrupted_search_goes_on_as_if_it_had_not_been() -> None:
    whole = searched(14)
    assert searched(14, start=12) == whole
    assert searched(14, seed=2) != whole
    assert len({tuple(parameters.values()) for parameters, _ in whole}) == 14


@patch.object(runs, "experiments", lambda *_: [])
def test_a_search_ends_when_everything_was_tried_though_all_fail() -> None:
    options = ["train_hidden.units=8,16", "train_hidden.seed=range(1,4)", "evaluate.examples=1"]
    failed: set[str] = set()
    search = experiments.Search(options, None, 1)
    failed.update(name for name, _ in search.proposals("commit", 9, failed))
    assert len(failed) == 6
