"""The grid of experiments that `-S` options stand for, and what is refused before it starts."""

import pytest

from digits.errors import UserError
from sweep import grid


def test_options_are_multiplied_as_dvc_does() -> None:
    found = grid.experiments(["train_hidden.units=8,16", "train_hidden.seed=range(1,4)"])
    assert len(found) == 6
    assert ["train_hidden.units=16", "train_hidden.seed=3"] in found.values()


def test_an_experiment_has_one_name_whatever_the_order_of_its_options() -> None:
    one, other = "train_hidden.units=8", "train_linear.seed=2"
    assert grid.name([one, other]) == grid.name([other, one])
    assert grid.name([one, other]).startswith("units=8-seed=2-")
    # Reads the same without the groups.
    assert grid.name(["train_hidden.seed=2"]) != grid.name(["train_linear.seed=2"])
    assert list(grid.experiments([f"{one},8", other])) == [grid.name([one, other])]


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("train_hidden.units=8,0", "train_hidden.units is 0; must be a whole number from 1"),
        ("train_hidden.units=8.0", "train_hidden.units is 8.0; must be a whole number"),
        ("train_hidden.units='8'", "train_hidden.units is '8'; must be a whole number"),
        ("train_hidden.unit=8", "train_hidden.unit is not a parameter; known here: "),
        ("train_hidden.units.x=8", "train_hidden.units is {'x': 8}; must be a whole number"),
        ("hidden.units=8", "hidden is not a parameter; known here: prepare, "),
        ("train_hidden.units=range(1,10,0)", "range() arg 3 must not be zero"),
        ("train_hidden.units=interval(1,10)", "does not support sweep type"),
        ("train_hidden.units=glob(*)", "is not supported"),
        ("train_hidden.units=[1", "no viable alternative at input"),
        ("train_hidden.units", "missing EQUAL"),
        ("prepare.dataset=${nothing}", "Interpolation key 'nothing' not found"),
        ("other.yaml:train_hidden.units=8", "other.yaml"),
        ("~evaluate", "parameters cannot be added or removed"),
        ("+evaluate.examples=8", "parameters cannot be added or removed"),
        ("++evaluate.examples=8", "parameters cannot be added or removed"),
    ],
)
def test_what_no_stage_would_take_is_refused_in_one_line(option: str, reason: str) -> None:
    with pytest.raises(UserError) as refusal:
        grid.experiments(["train_linear.seed=1,2", option])
    assert str(refusal.value).startswith("-S")
    assert reason in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
