"""Verdicts in words. tests/pipeline/test_compare.py compares over seeds."""

from revisions.verdicts import Difference, verdict, welch


def test_samples_that_do_not_vary() -> None:
    assert welch([0.5, 0.5, 0.5], [0.75, 0.75]) == Difference(0.25, (-1, 1), 1)


def test_verdicts_with_p_values_as_frequencies() -> None:
    chance = "equally good models would differ this much"
    for gain, p, said in (
        (0.1, 0.0587, f"no clear difference: {chance} 6 times in 100"),
        (0.1, 0.0123, f"wide is better than main: {chance} once in 100"),
        (-0.1, 0.0041, f"main is better than wide: {chance} 4 times in 1,000"),
        (0.1, 1.47e-107, f"wide is better than main: {chance} less than once in 1,000,000"),
        (0.0, 1.0, "no clear difference: the accuracies are equal"),
    ):
        assert verdict(Difference(gain, (-1, 1), p), "main", "wide", "models") == said
