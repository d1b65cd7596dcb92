"""The grid of `-S` options, and mistakes that a sweep refuses before it starts a cluster."""

import pytest

from digits.plumbing.errors import UserError
from sweep import grid

UNITS = "train_hidden.units=8"


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
    ("option", "reason"),
    [
        ("train_hidden.units=8,0", "params.yaml: train_hidden.units is 0; must be an integer from"),
        ("train_hiden.units=8", "Could not override 'train_hiden.units'"),
        ("train_hidden.units=range(1,10,0)", "range() arg 3 must not be zero"),
        ("~evaluate", "the group evaluate is missing"),
    ],
)
def test_an_invalid_option_is_refused_in_one_line(option: str, reason: str) -> None:
    with pytest.raises(UserError) as refusal:
        grid.experiments(["train_linear.seed=1,2", option])
    (line,) = str(refusal.value).splitlines()
    assert line.startswith("-S") and reason in line
