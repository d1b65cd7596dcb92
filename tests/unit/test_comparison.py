"""Each formula against a value worked out another way: by hand, by SciPy, or published."""

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from digits import comparison
from digits.comparison import PairedComparison, SeedComparison

SIMULATED = 2_000
# Of SIMULATED comparisons of equally good models: 5 %, and what 2,000 leave to chance.
MOST_FALSE_ALARMS = 0.06 * SIMULATED
FEWEST_COVERED = 0.94 * SIMULATED


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (7, 1), (5, 5), (30, 12), (621, 66)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    n = first + second
    expected = scipy.stats.binomtest(first, n).pvalue if n else 1.0
    assert comparison.mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_on_a_published_example() -> None:
    # Airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009):
    # 7 and 1 discordant of 21 children. Exact p = 2 (1 + 8) / 2^8.
    assert comparison.mcnemar_p(1, 7) == pytest.approx(0.0703125)


def test_interval_by_hand() -> None:
    # The same children: the difference is 2/23 - 8/23 = -0.2609, its standard error
    # sqrt((10/23 - 0.2609^2) / 23) = 0.1263.
    low, high = comparison.paired_difference_ci95(1, 7, 21)
    assert (low, high) == pytest.approx((-0.508, -0.013), abs=0.0005)


@pytest.mark.parametrize(("first", "second", "n"), [(621, 66, 10_000), (40, 20, 1600)])
def test_interval_agrees_with_tangos_score_interval(first: int, second: int, n: int) -> None:
    """Tango (1998) inverts the score test; for many pairs both intervals must come together."""

    def score(difference: float) -> float:
        a = 2 * n
        b = -first - second + (2 * n - first + second) * difference
        c = -second * difference * (1 - difference)
        p21 = (np.sqrt(b * b - 4 * a * c) - b) / (2 * a)
        variance = n * (2 * p21 + difference * (1 - difference))
        return float((first - second - n * difference) / np.sqrt(variance))

    estimate = (first - second) / n
    low = scipy.optimize.brentq(lambda d: score(d) - 1.959964, estimate - 0.1, estimate)
    high = scipy.optimize.brentq(lambda d: score(d) + 1.959964, estimate, estimate + 0.1)
    got = comparison.paired_difference_ci95(first, second, n)
    assert got == pytest.approx((low, high), abs=0.05 * (high - low))


def test_interval_without_a_difference_is_not_a_point() -> None:
    low, high = comparison.paired_difference_ci95(0, 0, 100)
    assert low == -high
    assert 0.01 < high < 0.1


def test_comparison_counts_and_gain() -> None:
    linear = np.array([True, True, False, False, False, True])
    hidden = np.array([True, False, True, True, False, True])
    result = comparison.compare(linear, hidden)
    assert result["both_right"] == 2
    assert result["only_linear_right"] == 1
    assert result["only_hidden_right"] == 2
    assert result["both_wrong"] == 1
    assert result["accuracy_gain"] == pytest.approx(1 / 6)
    assert result["mcnemar_p"] == 1
    assert result["accuracy_gain_ci95_low"] < 1 / 6 < result["accuracy_gain_ci95_high"]


@given(
    right=npst.arrays(bool, st.tuples(st.just(2), st.integers(1, 60))),
)
def test_a_comparison_stays_in_range_and_its_counts_add_up(right: np.ndarray) -> None:
    result = comparison.compare(*right)
    counts = ("both_right", "only_linear_right", "only_hidden_right", "both_wrong")
    assert sum(result[name] for name in counts) == right.shape[1]
    low, high = result["accuracy_gain_ci95_low"], result["accuracy_gain_ci95_high"]
    assert -1 <= low < high <= 1
    # The interval is around Bonett and Price's estimate, which lies nearer to zero than the gain.
    assert low < result["accuracy_gain"] * right.shape[1] / (right.shape[1] + 2) < high
    assert 0 < result["mcnemar_p"] <= 1
    turned = comparison.compare(*right[::-1])
    assert turned["accuracy_gain"] == -result["accuracy_gain"]
    assert turned["mcnemar_p"] == result["mcnemar_p"]


def test_a_p_value_of_ten_thousand_discordant_pairs() -> None:
    expected = scipy.stats.binomtest(4900, 10_000).pvalue
    assert comparison.mcnemar_p(4900, 5100) == pytest.approx(expected, rel=1e-9)


def test_the_interval_excludes_zero_wherever_a_model_is_called_better() -> None:
    better = [
        (first, second, n)
        for first in range(60)
        for second in range(first + 1, 160)
        for n in (first + second, 10_000)
        if comparison.mcnemar_p(first, second) < comparison.SIGNIFICANCE
    ]
    assert len(better) > 1000
    for first, second, n in better:
        low, _ = comparison.paired_difference_ci95(second, first, n)
        assert low > 0, (first, second, n)


@pytest.mark.parametrize("gain", [0.0, 0.004])
def test_simulated_models_on_the_same_images(gain: float) -> None:
    """Models that disagree on 1 to 4 % of 10,000 images, the second better by `gain`."""
    rng = np.random.default_rng(3)
    discordant = rng.uniform(0.01, 0.04, SIMULATED)
    chances = np.stack([(discordant - gain) / 2, (discordant + gain) / 2, 1 - discordant], axis=1)
    counts = [(int(first), int(second)) for first, second, _ in rng.multinomial(10_000, chances)]
    intervals = [comparison.paired_difference_ci95(s, f, 10_000) for f, s in counts]
    assert sum(low <= gain <= high for low, high in intervals) >= FEWEST_COVERED
    found = sum(comparison.mcnemar_p(f, s) < comparison.SIGNIFICANCE for f, s in counts)
    if gain:
        assert found > MOST_FALSE_ALARMS
    else:
        assert found <= MOST_FALSE_ALARMS


@pytest.mark.parametrize(("seeds", "stds"), [((5, 5), (1, 1)), ((3, 5), (1, 2))])
def test_simulated_settings_over_seeds(seeds: tuple[int, int], stds: tuple[int, int]) -> None:
    """Equally good settings; accuracies are normal, whatever their standard deviations."""
    rng = np.random.default_rng(4)
    samples = [
        rng.normal(0.98, std / 1000, (SIMULATED, n)).tolist()
        for n, std in zip(seeds, stds, strict=True)
    ]
    results = [comparison.welch(*pair) for pair in zip(*samples, strict=True)]
    assert sum(result.p < comparison.SIGNIFICANCE for result in results) <= MOST_FALSE_ALARMS
    covered = sum(result.ci95[0] <= 0 <= result.ci95[1] for result in results)
    assert covered >= FEWEST_COVERED


def test_welch_on_a_published_example() -> None:
    # Student's sleep data (Biometrika 6, 1908), as `example(t.test)` of R evaluates them.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    result = comparison.welch(first, second)
    assert result.gain == pytest.approx(1.58)
    assert result.p == pytest.approx(0.07939, abs=5e-6)
    assert result.ci95 == pytest.approx((-0.2054832, 3.3654832), abs=5e-8)


ACCURACIES = st.lists(st.integers(0, 1000).map(lambda count: count / 1000), min_size=2, max_size=20)


@given(first=ACCURACIES, second=ACCURACIES)
def test_welch_agrees_with_scipy(first: list[float], second: list[float]) -> None:
    result = comparison.welch(first, second)
    assert result.gain == pytest.approx(np.mean(second) - np.mean(first), abs=1e-12)
    # SciPy warns of a sample that does not vary.
    if len(set(first)) > 1 and len(set(second)) > 1:
        expected = scipy.stats.ttest_ind(second, first, equal_var=False)
        interval = expected.confidence_interval()
        assert result.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
        assert result.ci95 == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_welch_where_one_setting_does_not_vary() -> None:
    # What is left is the t-test of one sample against a value.
    varied = [0.5, 0.25, 0.75, 0.5, 1.0]
    result = comparison.welch([0.25, 0.25], varied)
    assert result.p == pytest.approx(scipy.stats.ttest_1samp(varied, 0.25).pvalue)


def test_seeds_that_all_give_the_same_accuracy_tell_nothing() -> None:
    assert comparison.welch([0.5, 0.5, 0.5], [0.75, 0.75]) == SeedComparison(0.25, (-1, 1), 1)


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 4.7, 8, 30, 500, 10_000])
def test_t_distribution_agrees_with_scipy(freedom: float) -> None:
    quantile = scipy.stats.t.ppf(0.975, freedom)
    assert comparison.t_quantile_975(freedom) == pytest.approx(quantile, rel=1e-10)
    for t in (0, 0.01, 1, -1, 2, 10, 300):
        expected = 2 * scipy.stats.t.sf(abs(t), freedom)
        assert comparison.t_test_p(t, freedom) == pytest.approx(expected, rel=1e-8)


def test_holm_by_hand() -> None:
    # The smallest of four counts four times, the next three times, and so on; none is smaller
    # than one before it.
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([0.6, 0.5]) == [1, 1]
    assert comparison.holm([]) == []


@given(p_values=st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: Sequence[float]) -> None:
    """Holm's own form: go up from the smallest p-value until one exceeds 0.05 / (tests left)."""
    rejected = set()
    for rank, index in enumerate(np.argsort(p_values)):
        if (len(p_values) - rank) * p_values[index] > 0.05:
            break
        rejected.add(index)
    corrected = comparison.holm(p_values)
    assert {index for index, p in enumerate(corrected) if p <= 0.05} == rejected


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (1.0, "100 of 100"),
        (0.0587, "6 of 100"),
        (0.0302, "3 of 100"),
        (0.0004, "4 of 10,000"),
        (1.47e-107, "fewer than 1 of 1,000,000"),
        (0.0, "fewer than 1 of 1,000,000"),
    ],
)
def test_a_p_value_as_a_frequency_is_never_zero(p: float, words: str) -> None:
    assert comparison.frequency(p) == words


@given(p=st.floats(0, 1))
def test_a_frequency_is_near_its_p_value(p: float) -> None:
    count, of = comparison.frequency(p).removeprefix("fewer than ").split(" of ")
    shown = int(count) / int(of.replace(",", ""))
    assert shown > 0
    assert shown == pytest.approx(p, rel=0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (
            61,
            41,
            "no evidence of a difference: a split as uneven as 61 to 41 would come up in 6 of 100 "
            "comparisons of equally good models",
        ),
        (
            68,
            601,
            "wide is better than main: a split as uneven as 68 to 601 would come up in fewer than "
            "1 of 1,000,000 comparisons of equally good models",
        ),
        (
            20,
            5,
            "main is better than wide: a split as uneven as 20 to 5 would come up in 4 of 1,000 "
            "comparisons of equally good models",
        ),
        (7, 7, "no evidence of a difference: the accuracies are equal"),
    ],
)
def test_verdict_on_two_models(first: int, second: int, words: str) -> None:
    assert PairedComparison(9000, first, second, 100).verdict("main", "wide") == words


def test_verdict_over_seeds() -> None:
    worse = SeedComparison(-0.002, (-0.0035, -0.0005), 0.0123)
    assert worse.verdict("1000", "300") == (
        "1000 is better than 300: means this far apart would come up in 1 of 100 comparisons of "
        "equally good settings"
    )
    unclear = SeedComparison(0.001, (-0.0005, 0.0025), 0.23)
    assert unclear.verdict("1000", "300").startswith("no evidence of a difference: means this far")
