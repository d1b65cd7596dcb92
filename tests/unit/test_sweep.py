"""Grids and searches, and mistakes that a sweep refuses before it starts a cluster."""

import math
from typing import Any

import numpy as np
import pytest

from digits.plumbing.errors import UserError
from sweep import grid
from sweep.search import Experiment, Search

UNITS = "train_hidden.units=8"
RATES = "train_hidden.learning_rate=tag(log, interval(1e-4, 1e-2))"


def test_options_are_multiplied_and_named_whatever_their_order() -> None:
    found = grid.experiments(["train_hidden.units=8,16", "train_hidden.seed=range(1,4)"])
    assert len(found) == 6
    assert ["train_hidden.units=16", "train_hidden.seed=3"] in found.values()
    other = "train_linear.seed=2"
    assert grid.name([UNITS, other]) == grid.name([other, UNITS])
    assert grid.name([UNITS, other]).startswith("units=8-seed=2-")
    # Reads the same without the groups.
    assert grid.name(["train_hidden.seed=2"]) != grid.name([other])


@pytest.mark.parametrize(
    ("parse", "option", "reason"),
    [
        (grid.experiments, "train_hidden.units=8,0", "train_hidden.units is 0; must be"),
        (grid.experiments, "train_hiden.units=8", "Could not override 'train_hiden.units'"),
        (grid.experiments, "train_hidden.units=range(1,10,0)", "range() arg 3 must not be zero"),
        (grid.experiments, "~evaluate", "the group evaluate is missing"),
        (grid.experiments, RATES, "an interval needs --trials"),
        (Search, "train_linear.epochs=interval(0,9)", "train_linear.epochs is 0.0; must be an"),
        (Search, "prepare.seed=1,2", "a search needs validation images, the same in all"),
        (Search, "runtime.portable=true,false", "--model: whose validation accuracy"),
    ],
)
def test_an_invalid_option_is_refused_in_one_line(parse: Any, option: str, reason: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse(["train_linear.seed=1,2", option])
    (line,) = str(refusal.value).splitlines()
    assert line.startswith("-") and reason in line


def height(rate: float, units: float) -> float:
    # A hill, whose top is at 0.002 and 1300.
    return -(math.log10(rate / 0.002) ** 2) - ((units - 1300) / 1000) ** 2


def searched(total: int, seed: int = 1, start: int = 0) -> list[Experiment]:
    """The experiments of a search, interrupted at `start`, for the top of the hill."""
    done = searched(start, seed) if start else []
    search = Search([RATES, "train_hidden.units=range(100, 2001, 100)"], seed=seed)
    for _, overrides in search.proposals(total, lambda: done, ()):
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


def test_a_search_ends_when_everything_was_tried_though_all_fail() -> None:
    options = ["train_hidden.units=8,16", "train_hidden.seed=range(1,4)", "train_linear.epochs=1"]
    failed: set[str] = set()
    failed.update(name for name, _ in Search(options).proposals(9, list, failed))
    assert len(failed) == 6
