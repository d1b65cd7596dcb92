"""Which of two classifiers is better, and whether that may be chance.

Two models are compared on the same test images (`paired`), two settings over several seeds
(`welch`). In either case the gain is what the second has more than the first, and `verdict` says
what it means to somebody who knows no statistics.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# The 97.5 % quantile of the standard normal distribution.
Z_95 = 1.959963984540054
SIGNIFICANCE = 0.05
# With two seeds, the 95 % interval of a mean is 18 standard deviations wide.
FEWEST_SEEDS = 3
# What is rarer is called just that: no assumption behind a p-value holds that far.
SMALLEST_SHOWN_P = 1e-6
# Eleven digits, checked against SciPy, up to 10,000 degrees of freedom.
FRACTION_TERMS = 40


class PairedComparison(NamedTuple):
    """How many images two classifiers recognize: the same n > 0 images for both."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int

    @property
    def gain(self) -> float:
        """The accuracy of the second minus that of the first."""
        return (self.only_second_right - self.only_first_right) / sum(self)

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % confidence interval of the gain."""
        return paired_difference_ci95(self.only_second_right, self.only_first_right, sum(self))

    @property
    def p(self) -> float:
        """p-value of McNemar's exact test."""
        return mcnemar_p(self.only_second_right, self.only_first_right)

    def verdict(self, first: str, second: str) -> str:
        """What to conclude, in words; `first` and `second` name the two."""
        split = f"{self.only_first_right} to {self.only_second_right}"
        return _verdict(self, first, second, f"a split as uneven as {split}", "models")


class SeedComparison(NamedTuple):
    """How the accuracies of two settings differ, each trained with several seeds."""

    gain: float
    ci95: tuple[float, float]
    p: float

    def verdict(self, first: str, second: str) -> str:
        """What to conclude, in words; `first` and `second` name the two."""
        return _verdict(self, first, second, "means this far apart", "settings")


def _verdict(
    result: PairedComparison | SeedComparison, first: str, second: str, found: str, what: str
) -> str:
    if result.gain == 0:
        return "no evidence of a difference: the accuracies are equal"
    if result.p >= SIGNIFICANCE:
        conclusion = "no evidence of a difference"
    elif result.gain > 0:
        conclusion = f"{second} is better than {first}"
    else:
        conclusion = f"{first} is better than {second}"
    return (
        f"{conclusion}: {found} would come up in {frequency(result.p)} comparisons of equally good "
        f"{what}"
    )


def frequency(p: float) -> str:
    """A p-value as a natural frequency: "6 of 100", "fewer than 1 of 1,000,000"."""
    if p < SMALLEST_SHOWN_P:
        return f"fewer than 1 of {1 / SMALLEST_SHOWN_P:,.0f}"
    of = 100
    while p * of < 1:
        of *= 10
    return f"{p * of:.0f} of {of:,}"


def paired(first_right: np.ndarray, second_right: np.ndarray) -> PairedComparison:
    """Compare on the same n > 0 images; bool (n,) each: was the image recognized?"""
    return PairedComparison(
        both_right=int(np.sum(first_right & second_right)),
        only_first_right=int(np.sum(first_right & ~second_right)),
        only_second_right=int(np.sum(second_right & ~first_right)),
        both_wrong=int(np.sum(~first_right & ~second_right)),
    )


def compare(linear_right: np.ndarray, hidden_right: np.ndarray) -> dict[str, float | int]:
    """How the hidden model compares with the linear one, as metrics/comparison.json has it.

    Takes bool (n,) each, n > 0: was the image recognized?
    """
    pair = paired(linear_right, hidden_right)
    low, high = pair.ci95
    return {
        "accuracy_gain": pair.gain,
        "accuracy_gain_ci95_low": low,
        "accuracy_gain_ci95_high": high,
        "mcnemar_p": pair.p,
        "both_right": pair.both_right,
        "only_linear_right": pair.only_first_right,
        "only_hidden_right": pair.only_second_right,
        "both_wrong": pair.both_wrong,
    }


def paired_difference_ci95(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """95 % confidence interval for the difference of two proportions seen on the same n pairs.

    Wald interval after Bonett and Price's Laplace adjustment (one more pair of each discordant
    kind), which unlike the plain Wald interval holds for few or no discordant pairs. Source:
    Bonett and Price, Br. J. Math. Stat. Psychol. 65 (2012) 479-488; recommended by Fagerland,
    Lydersen and Laake, Statistics in Medicine 33 (2014) 2850-2875.
    """
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    difference = first - second
    margin = Z_95 * math.sqrt((first + second - difference**2) / (n + 2))
    return max(-1.0, difference - margin), min(1.0, difference + margin)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided p-value of McNemar's exact test, from the counts of discordant pairs.

    If both were equally good, each discordant pair would fall either way like a fair coin; p is
    twice the smaller binomial tail, at most 1. Source: McNemar, Psychometrika 12 (1947) 153-157,
    in its exact form. Integer arithmetic until the last division.
    """
    n = only_first + only_second
    tail = ways = 1
    for k in range(min(only_first, only_second)):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    p: float = 2 * tail / 2**n
    return min(1.0, p)


def welch(first: Sequence[float], second: Sequence[float]) -> SeedComparison:
    """Compare the means of two samples of at least two values, whose variances may differ.

    Welch's t-test and interval. Source: Welch, Biometrika 34 (1947) 28-35. If no value differs
    from its sample's mean there is nothing to measure chance by: p is 1, the interval -1 to 1.
    """
    gain = statistics.mean(second) - statistics.mean(first)
    squares = [statistics.variance(sample) / len(sample) for sample in (first, second)]
    error = math.sqrt(sum(squares))
    if error == 0:
        return SeedComparison(gain, (-1.0, 1.0), 1.0)
    freedom = sum(squares) ** 2 / sum(
        square**2 / (len(sample) - 1)
        for square, sample in zip(squares, (first, second), strict=True)
    )
    margin = t_quantile_975(freedom) * error
    return SeedComparison(gain, (gain - margin, gain + margin), t_test_p(gain / error, freedom))


def t_test_p(t: float, freedom: float) -> float:
    """Chance of a value as far from 0 as `t`, either side, in Student's t distribution.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.27 and 26.7.1.
    """
    return _incomplete_beta(freedom / (freedom + t**2), freedom / 2, 0.5)


def t_quantile_975(freedom: float) -> float:
    """The 97.5 % quantile of Student's t distribution with `freedom` >= 1 degrees of freedom.

    By Newton's method: above 0 the distribution function is concave, so that from the normal
    distribution's quantile, which is smaller, it only climbs.
    """
    log_scale = (
        math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    )
    t = Z_95
    for _ in range(50):
        density = math.exp(log_scale - (freedom + 1) / 2 * math.log1p(t**2 / freedom))
        step = (t_test_p(t, freedom) - SIGNIFICANCE) / (2 * density)
        t += step
        if step < 1e-12 * t:
            break
    return t


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 <= x <= 1.

    By its continued fraction. Source: NIST Digital Library of Mathematical Functions, 8.17.22,
    and 8.17.4 where that converges slowly.
    """
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    if x == 0:
        return 0.0
    fraction = 1.0
    for m in range(FRACTION_TERMS, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        fraction = 1 + even / (1 + odd / fraction)
    first = -(a + b) * x / (a + 1)
    fraction = 1 + first / fraction
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / (a * fraction)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of one family of tests, corrected so that together they err in 5 % at most.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70, as adjusted p-values.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
