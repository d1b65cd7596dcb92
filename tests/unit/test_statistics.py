"""The comparison over seeds against a published example; the verdicts."""

import numpy as np
import pytest

from digits.metrics import Pairs
from tools.statistics import Difference, frequency, verdict, welch


def test_welch_on_a_published_example() -> None:
    # Student's sleep data (Biometrika 6, 1908), as `example(t.test)` of R evaluates them.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    result = welch(first, second)
    assert result.gain == pytest.approx(1.58)
    assert result.p == pytest.approx(0.07939, abs=5e-6)
    assert result.ci95 == pytest.approx((-0.2054832, 3.3654832), abs=5e-8)


@pytest.mark.filterwarnings("error")
def test_samples_that_do_not_vary() -> None:
    assert welch([0.5, 0.5, 0.5], [0.75, 0.75]) == Difference(0.25, (-1, 1), 1)
    assert welch([0.5, 0.5, 0.5], [0.75, 0.8]).p == pytest.approx(1 - 2 * np.arctan(11) / np.pi)


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (1.0, "100 times in 100"),
        (0.0587, "6 times in 100"),
        (0.0123, "once in 100"),
        (0.0004, "4 times in 10,000"),
        (1.47e-107, "less than once in 1,000,000"),
    ],
)
def test_a_p_value_as_a_frequency_is_never_zero(p: float, words: str) -> None:
    assert frequency(p) == words


@pytest.mark.parametrize(
    ("counts", "conclusion"),
    [
        ((61, 41), "no clear difference: equally good models would differ this much 6 times"),
        ((68, 601), "wide is better than main: equally good models would differ this much less"),
        ((20, 5), "main is better than wide: equally good models would differ this much 4 times"),
        ((7, 7), "no clear difference: the accuracies are equal"),
    ],
)
def test_verdict(counts: tuple[int, int], conclusion: str) -> None:
    assert verdict(Pairs(9000, *counts, 100), "main", "wide", "models").startswith(conclusion)
