"""Verdicts in words. tests/pipeline/test_compare.py compares over seeds."""

from digits.metrics import Pairs
from tools.statistics import Difference, frequency, verdict, welch


def test_samples_that_do_not_vary() -> None:
    assert welch([0.5, 0.5, 0.5], [0.75, 0.75]) == Difference(0.25, (-1, 1), 1)


def test_a_p_value_as_a_frequency_is_never_zero() -> None:
    assert [frequency(p) for p in (1.0, 0.0587, 0.0123, 0.0004, 1.47e-107)] == [
        "100 times in 100",
        "6 times in 100",
        "once in 100",
        "4 times in 10,000",
        "less than once in 1,000,000",
    ]


def test_verdicts() -> None:
    def said(only_first: int, only_second: int) -> str:
        return verdict(Pairs(9000, only_first, only_second, 100), "main", "wide", "models")

    chance = "equally good models would differ this much"
    assert said(61, 41) == f"no clear difference: {chance} 6 times in 100"
    assert said(20, 5) == f"main is better than wide: {chance} 4 times in 1,000"
    assert said(68, 601) == f"wide is better than main: {chance} less than once in 1,000,000"
    assert said(7, 7) == "no clear difference: the accuracies are equal"
