"""Decide whether one of two settings or models is better, and say so in words."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from digits.metrics import SIGNIFICANCE

# With two seeds, the 95% interval of a mean is 18 standard deviations wide.
MIN_SEEDS = 3
RECOMMENDED_SEEDS = 5
MAX_MORE_SEEDS = 1000
POWER = 0.8
# Smaller p-values mean nothing: the test's assumptions fail first.
MAX_CASES = 1_000_000


class Difference(NamedTuple):
    """The accuracy of the second of two settings minus that of the first."""

    gain: float
    ci95: tuple[float, float]  # (-1, 1) if nothing can be told
    seeds: tuple[int, int]
    seed_variance: float  # of a run's accuracy over seeds, pooled; 0 if nothing can be told
    image_variance: float | None  # of the gain over images; None: about these images only


def compare(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two settings by k runs of each: their accuracies, float64 (k,), or more.

    More is bool (k, n): which of the same n images each run has right. Seeds and images are chance
    (Bouthillier and others, MLSys 2021), so the gain has Welch's variance over seeds (Biometrika 34
    (1947) 28-35) plus, if both sides are (k, n), a variance over images: that of an image's mean
    difference, less its part from seeds, by n (compare Miller, arXiv:2411.00640, 2024).
    """
    from scipy.stats import t

    sides, seeds = (first, second), (len(first), len(second))
    one, other = (side if side.ndim == 1 else side.mean(axis=1) for side in sides)
    gain = float(other.mean() - one.mean())
    if min(seeds) < MIN_SEEDS or np.ptp(one) == np.ptp(other) == 0:
        return Difference(gain, (-1.0, 1.0), seeds, 0.0, None)
    images = None
    if first.ndim == second.ndim == 2:
        shares = [side.mean(axis=0) for side in sides]
        from_seeds = sum(np.mean(p * (1 - p)) / (k - 1) for p, k in zip(shares, seeds, strict=True))
        images = max(0.0, float(np.subtract(*shares).var() - from_seeds) / first.shape[1])
    variances, freedoms = np.array([one.var(ddof=1), other.var(ddof=1)]), np.subtract(seeds, 1)
    of_means = variances / seeds
    total = of_means.sum() + (images or 0)
    # The variance over so many images is as good as known.
    freedom = total**2 / (of_means**2 / freedoms).sum()
    low, high = t.interval(1 - SIGNIFICANCE, freedom, gain, math.sqrt(total))
    pooled = float(np.average(variances, weights=freedoms))
    return Difference(gain, (float(low), float(high)), seeds, pooled, images)


def outcome(result: Difference, margin: float) -> Literal["equal", "better", "worse", "undecided"]:
    """Judge the second setting; `margin` is the smallest difference in accuracy that matters.

    Equal: both tests of Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680, at 2.5% each.
    """
    low, high = result.ci95
    if -margin < low and high < margin:
        return "equal"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def more_seeds(result: Difference, margin: float) -> int:
    """Return how many seeds each side lacks to show a gain of `margin` with probability POWER.

    At most MAX_MORE_SEEDS. Takes the noise in `result` as true; by the noncentral t distribution.
    """
    from scipy.stats import nct, t

    sizes = np.arange(MAX_MORE_SEEDS) + np.array(result.seeds)[:, np.newaxis]
    of_means = result.seed_variance / sizes
    total = of_means.sum(axis=0) + (result.image_variance or 0)
    freedom = total**2 / (of_means**2 / (sizes - 1)).sum(axis=0)
    power = nct.sf(t.ppf(1 - SIGNIFICANCE / 2, freedom), freedom, margin / np.sqrt(total))
    return int(np.searchsorted(power, POWER))


def verdict(result: Difference, first: str, second: str, margin: float) -> str:
    """Return the conclusion about two settings, called `first` and `second`."""
    one, other = (max(0, MIN_SEEDS - count) for count in result.seeds)
    if one or other:
        least = f"each side needs {MIN_SEEDS} seeds, preferably {RECOMMENDED_SEEDS}"
        return f"no verdict: {least}; at least {one} more of {first} and {other} of {second}"
    if not result.seed_variance:
        return "no verdict: the accuracy is the same for all seeds, so nothing measures chance"
    here = " on these images" if result.image_variance is None else ""
    more = more_seeds(result, margin)
    power = f"about {more} more seed{'' if more == 1 else 's'} on each side would show"
    if more in (0, MAX_MORE_SEEDS):
        power = f"even {more:,} more seeds would not show" if more else "so many seeds usually show"
    low, high = map(points, result.ci95)
    return {
        "equal": f"equal{here}, within {100 * margin:g} points",
        "better": f"{second} is better than {first}{here}",
        "worse": f"{first} is better than {second}{here}",
        "undecided": f"undecided{here}: between {low} and {high} points; {power} {100 * margin:g}",
    }[outcome(result, margin)]


def pair_verdict(gain: float, ci95: tuple[float, float], p: float, first: str, second: str) -> str:
    """Return the conclusion about two models; for several pairs, correct p and intervals first."""
    if gain == 0:
        return "no clear difference: the accuracies are equal"
    better, worse = (second, first) if gain > 0 else (first, second)
    clear = ci95[0] > 0 or ci95[1] < 0
    conclusion = f"{better} is better than {worse}" if clear else "no clear difference"
    cases = 100
    # Two digits, rounded up: "at most" holds.
    while p * cases < 10 and cases < MAX_CASES:
        cases *= 10
    chance = "equally good models would differ by at least this much in at most"
    return f"{conclusion}: {chance} {max(1, math.ceil(p * cases))} of {cases:,} cases"


def points(fraction: float) -> str:
    """Format a difference in percentage points, with its sign; zero has the sign +."""
    # Two decimals would hide on which side of zero a small one is.
    return f"{100 * fraction:+z.{4 if 5e-7 <= abs(fraction) < 5e-5 else 2}f}"


def difference(gain: float, ci95: tuple[float, float]) -> str:
    """Format the gain with its interval."""
    low, high = map(points, ci95)
    return f"{points(gain)} points (95% interval {low} to {high})"


def vs_best(samples: Sequence[Sequence[float]], models: Sequence[str]) -> tuple[list[str], float]:
    """Compare each row's accuracies with those of the best mean; return how much that is too high.

    Tukey's test of all pairs holds although the best is chosen first; Kramer's version (Biometrics
    12 (1956) 307-310) is for different sizes. The noise is pooled over a model's rows; that of the
    noisiest model counts. The best mean is too high by the expected largest error if all are
    equally good, else by less.
    """
    ranked = {row: np.array(s) for row, s in enumerate(samples) if len(s) >= MIN_SEEDS}
    marks = ["cannot be told" if row in ranked else "too few seeds" for row in range(len(samples))]
    if not any(map(np.ptp, ranked.values())):
        return marks, 0.0
    noises = []
    for model in {models[row] for row in ranked}:
        own = [sample for row, sample in ranked.items() if models[row] == model]
        freedom = sum(sample.size - 1 for sample in own)
        squares = sum(float(np.square(sample - sample.mean()).sum()) for sample in own)
        noises.append((squares / freedom, freedom))
    variance, freedom = max(noises)
    critical, largest = _extremes(len(ranked), freedom)
    best = max(ranked, key=lambda row: float(ranked[row].mean()))
    for row, sample in ranked.items():
        lead = critical * math.sqrt(variance / 2 * (1 / ranked[best].size + 1 / sample.size))
        worse = ranked[best].mean() - sample.mean() > lead
        marks[row] = "worse" if worse else "no clear difference"
    marks[best] = "best"
    error = math.sqrt(variance * np.mean([1 / sample.size for sample in ranked.values()]))
    return marks, largest * error


@cache
def _extremes(rows: int, freedom: int) -> tuple[float, float]:
    """Return the critical studentized range, and the expected largest, of normal deviates."""
    from scipy.stats import Normal, order_statistic, studentized_range

    largest = order_statistic(Normal(), r=rows, n=rows).mean()
    return studentized_range.ppf(1 - SIGNIFICANCE, max(2, rows), freedom), float(largest)
