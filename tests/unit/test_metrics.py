"""Each formula against a value worked out another way: by hand, by SciPy, or published."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from digits import metrics
from digits.metrics import PairedCounts

LABELS = np.array([0, 0, 1, 2, 2, 2], np.uint8)
PREDICTED = np.array([0, 1, 1, 2, 2, 0])


def logits_of(predicted: np.ndarray, confidence: float) -> np.ndarray:
    """Logits for four labels that give each prediction its confidence and share out the rest."""
    logits = np.full((len(predicted), 4), np.log((1 - confidence) / 3), np.float32)
    logits[np.arange(len(predicted)), predicted.astype(int)] = np.log(confidence)
    return logits


def test_softmax_and_cross_entropy_agree_with_scipy_even_for_extreme_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 300, (50, 26)).astype(np.float32)
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(metrics.softmax(logits), expected, rtol=1e-12)
    logits, labels = logits / np.float32(100), rng.integers(0, 26, 50).astype(np.uint8)
    loss = -scipy.special.log_softmax(logits, axis=1)[np.arange(50), labels].mean()
    found = metrics.cross_entropy(metrics.softmax(logits), labels)
    assert found == pytest.approx(loss, rel=1e-5)
    # A probability of zero counts as the smallest number.
    impossible = metrics.cross_entropy(np.eye(10)[[3]], np.array([4]))
    assert impossible == pytest.approx(-np.log(np.finfo(float).tiny))


def test_predictions_by_hand() -> None:
    found = metrics.predictions(logits_of(PREDICTED, 0.7), LABELS)
    np.testing.assert_array_equal(found.predicted, PREDICTED)
    np.testing.assert_allclose(found.confidence, 0.7, rtol=1e-6)
    assert list(found.correct) == [True, False, True, True, True, False]
    by_label = found.per_label
    np.testing.assert_allclose(by_label["precision"], [1 / 2, 1 / 2, 1, 0])
    np.testing.assert_allclose(by_label["recall"], [1 / 2, 1, 2 / 3, 0])
    np.testing.assert_allclose(by_label["f1"], [1 / 2, 2 / 3, 4 / 5, 0])
    expected = {
        "accuracy": 4 / 6,
        "loss": -(4 * np.log(0.7) + 2 * np.log(0.3 / 3)) / 6,
        # No image is or is taken for the last label.
        "macro_f1": (1 / 2 + 2 / 3 + 4 / 5) / 3,
        "calibration_error": 0.7 - 4 / 6,
    }
    values = metrics.summary(found) | metrics.details(found)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert metrics.summary(metrics.predictions(np.empty((0, 4), np.float32), LABELS[:0])) == {}


def test_calibration_error_by_hand() -> None:
    # Bin (0.8, 13/15]: two of four right at 0.85. Bin (14/15, 1]: both right at 0.99.
    confidence = np.array([0.85, 0.85, 0.85, 0.85, 0.99, 0.99])
    bins = metrics.reliability(confidence, np.array([True, True, False, False, True, True]))
    expected = 4 / 6 * (0.85 - 0.5) + 2 / 6 * (1 - 0.99)
    assert metrics.calibration_error(bins) == pytest.approx(expected)
    # An edge belongs to the lower bin: 0.8 is in the twelfth of 15, 0.81 in the thirteenth.
    bins = metrics.reliability(np.array([0.0, 0.8, 0.81, 1.0]), np.ones(4, bool))
    assert list(np.flatnonzero(bins.counts)) == [0, 11, 12, 14]


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (0, 1), (7, 1), (5, 5), (621, 66), (4900, 5100)]
)
def test_intervals_and_p_values_agree_with_scipy(first: int, second: int) -> None:
    n = first + second
    expected = scipy.stats.binomtest(first, n).pvalue if n else 1.0
    assert PairedCounts(0, first, second, 1).p == pytest.approx(expected, rel=1e-9)
    wilson = scipy.stats.binomtest(first, n + 1).proportion_ci(method="wilson")
    found = metrics.proportion_ci95(np.array([first]), np.array([n + 1]))
    np.testing.assert_allclose(np.ravel(found), [wilson.low, wilson.high], atol=1e-12)


def test_a_published_comparison() -> None:
    """Airway hyper-responsiveness of 21 children, before and after (Bentur et al. 2009)."""
    # Exact p = 2 (1 + 8) / 2^8; the difference is 2/23 - 8/23 = -0.2609, its standard error
    # sqrt((10/23 - 0.2609^2) / 23) = 0.1263.
    pairs = PairedCounts(both_right=5, only_baseline_right=7, only_model_right=1, both_wrong=8)
    assert pairs.p == pytest.approx(0.0703125)
    # But the test does not reject 0: the upper end is Clopper and Pearson's for 1 of 8.
    share = scipy.stats.binomtest(1, 8).proportion_ci().high
    assert pairs.interval() == pytest.approx((-0.508, (2 * share - 1) * 8 / 21), abs=0.0005)


def test_the_interval_contains_0_exactly_where_the_test_does_not_reject_it() -> None:
    for tests in (1, 3):
        for n in (*range(1, 60), 400):
            for first in range(n + 1):
                pairs = PairedCounts(9000, first, n - first, 0)
                low, high = pairs.interval(tests)
                assert low <= pairs.gain <= high
                assert (low <= 0 <= high) == (tests * pairs.p >= 0.05)


def test_three_models_are_compared_with_the_first() -> None:
    wrong = {"linear": 100, "hidden": 80, "same": 100, "deep": 60}
    labels = np.zeros(400, np.uint8)
    logits = {name: logits_of(np.arange(400) < n, 0.7) for name, n in wrong.items()}
    found = {name: metrics.predictions(values, labels) for name, values in logits.items()}
    hidden, same, deep = metrics.compare("linear", found)
    low, high = PairedCounts(300, 0, 20, 80).interval(tests=3)
    p = hidden.pop("mcnemar_p")
    assert [*hidden.values()] == ["linear", "hidden", 20 / 400, low, high, 300, 0, 20, 80]
    # Bonferroni: three times twice the smaller tail.
    assert (deep["mcnemar_p"], p, same["mcnemar_p"]) == pytest.approx((6 / 2**40, 6 / 2**20, 1))
