"""Each formula against a value worked out another way: by hand, by SciPy, or published."""

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from digits import metrics

LABELS = np.array([0, 0, 1, 2, 2, 2], np.uint8)
PREDICTED = np.array([0, 1, 1, 2, 2, 0])
# Row = label, column = prediction, counted by hand.
COUNTS = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]])


def logits_of(predicted: np.ndarray, confidence: float) -> np.ndarray:
    """Logits for four labels that give each prediction its confidence and share out the rest."""
    logits = np.full((len(predicted), 4), np.log((1 - confidence) / 3), np.float32)
    logits[np.arange(len(predicted)), predicted] = np.log(confidence)
    return logits


def test_softmax_and_cross_entropy_agree_with_scipy_even_for_extreme_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 300, (50, 26)).astype(np.float32)
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(metrics.softmax(logits), expected, rtol=1e-12)
    logits, labels = rng.normal(0, 3, (200, 26)), rng.integers(0, 26, 200).astype(np.uint8)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(200), labels].mean()
    assert metrics.cross_entropy(metrics.softmax(logits), labels) == pytest.approx(expected)
    # What underflowed to zero counts as the smallest number.
    impossible = metrics.cross_entropy(np.eye(10)[[3]], np.array([4]))
    assert impossible == pytest.approx(-np.log(np.finfo(float).tiny))


def test_predictions_by_hand() -> None:
    found = metrics.predictions(logits_of(PREDICTED, 0.7), LABELS)
    np.testing.assert_array_equal(found.predicted, PREDICTED)
    np.testing.assert_allclose(found.confidence, 0.7, rtol=1e-6)
    assert list(found.correct) == [True, False, True, True, True, False]
    np.testing.assert_array_equal(found.confusion, COUNTS)
    precision, recall, f1 = metrics.per_label(COUNTS)
    np.testing.assert_allclose(precision, [1 / 2, 1 / 2, 1, 0])
    np.testing.assert_allclose(recall, [1 / 2, 1, 2 / 3, 0])
    np.testing.assert_allclose(f1, [1 / 2, 2 / 3, 4 / 5, 0])
    assert metrics.summary(found) == pytest.approx(
        {"accuracy": 4 / 6, "loss": -(4 * np.log(0.7) + 2 * np.log(0.3 / 3)) / 6}, rel=1e-6
    )
    assert metrics.details(found) == pytest.approx(
        {"macro_f1": (1 / 2 + 2 / 3 + 4 / 5) / 4, "calibration_error": 0.7 - 4 / 6}, rel=1e-5
    )


def test_calibration_error_by_hand() -> None:
    # Bin (0.8, 13/15]: two of four right at 0.85. Bin (14/15, 1]: both right at 0.99.
    confidence = np.array([0.85, 0.85, 0.85, 0.85, 0.99, 0.99])
    correct = np.array([True, True, False, False, True, True])
    bins = metrics.reliability(confidence, correct)
    expected = 4 / 6 * (0.85 - 0.5) + 2 / 6 * (1 - 0.99)
    assert metrics.calibration_error(bins) == pytest.approx(expected)
    assert np.isnan(bins.accuracy[0])
    # An edge belongs to the lower bin: 0.8 is in the twelfth of 15, 0.81 in the thirteenth.
    bins = metrics.reliability(np.array([0.0, 0.8, 0.81, 1.0]), np.ones(4, bool))
    assert list(np.flatnonzero(bins.counts)) == [0, 11, 12, 14]


@given(n=st.integers(1, 100_000), data=st.data())
def test_interval_of_a_proportion_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    expected = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    found = metrics.proportion_ci95(np.array([successes]), np.array([n]))
    np.testing.assert_allclose(np.ravel(found), [expected.low, expected.high], atol=1e-12)


@given(data=st.data(), n=st.integers(0, 30), count=st.integers(1, 30))
def test_any_predictions_have_metrics_in_range(data: st.DataObject, n: int, count: int) -> None:
    logits = data.draw(
        npst.arrays(np.float32, (n, count), elements=st.floats(-(2.0**100), 2.0**100, width=32))
    )
    labels = data.draw(npst.arrays(np.uint8, n, elements=st.integers(0, count - 1)))
    predicted = metrics.predictions(logits, labels)
    found = metrics.summary(predicted) | metrics.details(predicted)
    assert [*found] == ["accuracy", "loss", "macro_f1", "calibration_error"] * (n > 0)
    assert 0 <= found.pop("loss", 0) < 1000
    assert all(0 <= value <= 1 for value in found.values())
    assert predicted.confusion.sum() == predicted.reliability.counts.sum() == n


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (0, 1), (7, 1), (5, 5), (621, 66), (4900, 5100)]
)
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    n = first + second
    expected = scipy.stats.binomtest(first, n).pvalue if n else 1.0
    assert metrics.mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)


def test_a_published_comparison() -> None:
    """Airway hyper-responsiveness of 21 children before and after a transplantation.

    7 and 1 are discordant (Bentur et al. 2009). Exact p = 2 (1 + 8) / 2^8; the difference is 2/23 -
    8/23 = -0.2609, its standard error sqrt((10/23 - 0.2609^2) / 23) = 0.1263.
    """
    assert metrics.mcnemar_p(1, 7) == pytest.approx(0.0703125)
    interval = metrics.paired_difference_ci95(1, 7, 21)
    assert interval == pytest.approx((-0.508, -0.013), abs=0.0005)


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
    got = metrics.paired_difference_ci95(first, second, n)
    assert got == pytest.approx((low, high), abs=0.05 * (high - low))


def test_the_interval_excludes_zero_wherever_a_model_is_called_better() -> None:
    better = [
        (first, second, n)
        for first in range(0, 60, 3)
        for second in range(first + 1, 160)
        for n in (first + second, 10_000)
        if metrics.mcnemar_p(first, second) < 0.05
    ]
    assert len(better) > 1000
    assert all(metrics.paired_difference_ci95(s, f, n)[0] > 0 for f, s, n in better)


@pytest.mark.parametrize("gain", [0.0, 0.004])
def test_simulated_models_on_the_same_images(gain: float) -> None:
    """2,000 pairs that disagree on 1% to 4% of 10,000 images, the second better by `gain`."""
    rng = np.random.default_rng(3)
    discordant = rng.uniform(0.01, 0.04, 2000)
    chances = np.stack([(discordant - gain) / 2, (discordant + gain) / 2, 1 - discordant], axis=1)
    counts = [(int(first), int(second)) for first, second, _ in rng.multinomial(10_000, chances)]
    intervals = [metrics.paired_difference_ci95(s, f, 10_000) for f, s in counts]
    # 95% and 5%, and what 2,000 leave to chance.
    assert np.mean([low <= gain <= high for low, high in intervals]) >= 0.94
    assert (np.mean([metrics.mcnemar_p(f, s) < 0.05 for f, s in counts]) <= 0.06) == (not gain)


def test_three_models_are_compared_with_the_first() -> None:
    truth = np.zeros(400, np.uint8)
    wrong = {"linear": 100, "hidden": 80, "same": 100, "deep": 60}
    found = {
        name: metrics.predictions(logits_of((np.arange(400) < n).astype(int), 0.7), truth)
        for name, n in wrong.items()
    }
    hidden, same, deep = metrics.compare("linear", found)
    counts = ("both_right", "only_baseline_right", "only_model_right", "both_wrong")
    assert [hidden[name] for name in counts] == [300, 0, 20, 80]
    assert (hidden["baseline"], hidden["model"]) == ("linear", "hidden")
    assert hidden["accuracy_gain"] == pytest.approx(20 / 400)
    interval = metrics.paired_difference_ci95(20, 0, 400)
    assert (hidden["accuracy_gain_ci95_low"], hidden["accuracy_gain_ci95_high"]) == interval
    # Holm: the smallest of three p-values counts three times, the next twice, the last once.
    assert deep["mcnemar_p"] == pytest.approx(3 * 2 / 2**40)
    assert hidden["mcnemar_p"] == pytest.approx(2 * 2 / 2**20)
    assert same["mcnemar_p"] == 1
    assert metrics.compare("linear", {"linear": found["linear"]}) == []


@given(right=npst.arrays(bool, st.tuples(st.just(2), st.integers(1, 60))))
def test_a_comparison_stays_in_range_and_its_counts_add_up(right: np.ndarray) -> None:
    pair, turned = metrics.pairs(*right), metrics.pairs(*right[::-1])
    n = right.shape[1]
    assert sum(pair) == n
    # The interval is around Bonett and Price's estimate, which lies nearer to zero than the gain.
    assert -1 <= pair.ci95[0] < pair.gain * n / (n + 2) < pair.ci95[1] <= 1
    assert 0 < pair.p <= 1
    assert (turned.gain, turned.p) == (-pair.gain, pair.p)


@given(p_values=st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: Sequence[float]) -> None:
    """Holm's own form: go up from the smallest p-value until one exceeds 0.05 / (tests left)."""
    rejected = set()
    for rank, index in enumerate(np.argsort(p_values)):
        if (len(p_values) - rank) * p_values[index] > 0.05:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(metrics.holm(p_values)) if p <= 0.05} == rejected
