"""Is one of two models, or of two settings over several seeds, better? In words."""

import warnings
from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

import numpy as np

from digits.metrics import Pairs

SIGNIFICANCE = 0.05
# With two seeds, the 95% interval of a mean is 18 standard deviations wide.
MIN_SEEDS = 3
# No assumption behind a p-value holds further than this.
MIN_SHOWN_P = 1e-6
# SciPy says so of a sample that does not vary.
warnings.filterwarnings("ignore", "Precision loss occurred")


class Difference(NamedTuple):
    """The second's accuracy minus the first's, its interval, and the p-value."""

    gain: float
    ci95: tuple[float, float]
    p: float


def welch(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Welch's t-test and interval, samples of two or more. Source: Biometrika 34 (1947) 28-35."""
    from scipy.stats import ttest_ind

    gain = mean(second) - mean(first)
    # If neither varies, nothing measures chance.
    if len(set(first)) == len(set(second)) == 1:
        return Difference(gain, (-1.0, 1.0), 1.0)
    result = ttest_ind(second, first, equal_var=False)
    return Difference(gain, result.confidence_interval(), result.pvalue)


def verdict(result: Pairs | Difference, first: str, second: str, compared: str) -> str:
    """The conclusion; `first` and `second` name the two, `compared` is "models" or "settings"."""
    if result.gain == 0:
        return "no clear difference: the accuracies are equal"
    better, other = (second, first) if result.gain > 0 else (first, second)
    clear = result.p < SIGNIFICANCE
    conclusion = f"{better} is better than {other}" if clear else "no clear difference"
    return f"{conclusion}: equally good {compared} would differ this much {frequency(result.p)}"


def frequency(p: float) -> str:
    """A p-value as a natural frequency: "6 times in 100", "less than once in 1,000,000"."""
    if p < MIN_SHOWN_P:
        return f"less than once in {1 / MIN_SHOWN_P:,.0f}"
    total = 100
    while p * total < 1:
        total *= 10
    times = round(p * total)
    return f"{'once' if times == 1 else f'{times} times'} in {total:,}"


def p_value(p: float) -> str:
    """A p-value with two significant digits."""
    if p < MIN_SHOWN_P:
        return f"p < {MIN_SHOWN_P:f}"
    return f"p = {np.format_float_positional(p, precision=2, fractional=False, trim='-')}"


def difference(result: Pairs | Difference) -> str:
    """The gain with its interval, in percentage points."""
    # z: zero has the sign +.
    gain, low, high = (f"{100 * share:+z.2f}" for share in (result.gain, *result.ci95))
    return f"{gain} points (95% interval {low} to {high})"
