"""Each formula against a value worked out another way: by hand or by SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from digits import metrics

LABELS = np.array([0, 0, 1, 2, 2, 2], np.uint8)
DIGITS = np.array([0, 1, 1, 2, 2, 0])
# Row = label, column = prediction, counted by hand.
COUNTS = np.zeros((10, 10), int)
COUNTS[0, 0], COUNTS[0, 1], COUNTS[1, 1], COUNTS[2, 2], COUNTS[2, 0] = 1, 1, 1, 2, 1


def logits_of(digits: np.ndarray, confidence: float) -> np.ndarray:
    """Logits that give each digit its confidence and share the rest out evenly."""
    logits = np.full((len(digits), 10), np.log((1 - confidence) / 9), np.float32)
    logits[np.arange(len(digits)), digits] = np.log(confidence)
    return logits


def test_softmax_agrees_with_scipy_even_for_extreme_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 300, (50, 10)).astype(np.float32)
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(metrics.softmax(logits), expected, rtol=1e-12)


def test_cross_entropy_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 3, (200, 10)), rng.integers(0, 10, 200).astype(np.uint8)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(200), labels].mean()
    assert metrics.cross_entropy(metrics.softmax(logits), labels) == pytest.approx(expected)
    # What underflowed to zero counts as the smallest number.
    impossible = metrics.cross_entropy(np.eye(10)[[3]], np.array([4]))
    assert impossible == pytest.approx(-np.log(np.finfo(float).tiny))


def test_predictions_by_hand() -> None:
    predicted = metrics.predictions(logits_of(DIGITS, 0.7), LABELS)
    np.testing.assert_array_equal(predicted.digits, DIGITS)
    np.testing.assert_allclose(predicted.confidence, 0.7, rtol=1e-6)
    assert list(predicted.correct) == [True, False, True, True, True, False]
    np.testing.assert_array_equal(predicted.confusion, COUNTS)
    assert metrics.summary(predicted) == pytest.approx(
        {"accuracy": 4 / 6, "loss": -(4 * np.log(0.7) + 2 * np.log(0.3 / 9)) / 6}, rel=1e-6
    )
    assert metrics.details(predicted) == pytest.approx(
        {"macro_f1": (1 / 2 + 2 / 3 + 4 / 5) / 10, "calibration_error": 0.7 - 4 / 6}, rel=1e-5
    )


def test_per_digit_by_hand() -> None:
    precision, recall, f1 = metrics.per_digit(COUNTS)
    np.testing.assert_allclose(precision[:4], [1 / 2, 1 / 2, 1, 0])
    np.testing.assert_allclose(recall[:4], [1 / 2, 1, 2 / 3, 0])
    np.testing.assert_allclose(f1[:4], [1 / 2, 2 / 3, 4 / 5, 0])


def test_calibration_error_by_hand() -> None:
    # Bin (0.8, 13/15]: two of four right at 0.85. Bin (14/15, 1]: both right at 0.99.
    confidence = np.array([0.85, 0.85, 0.85, 0.85, 0.99, 0.99])
    correct = np.array([True, True, False, False, True, True])
    bins = metrics.reliability(confidence, correct)
    assert metrics.calibration_error(bins) == pytest.approx(
        4 / 6 * (0.85 - 0.5) + 2 / 6 * (1 - 0.99)
    )
    assert np.isnan(bins.accuracy[0])


def test_there_are_15_bins_and_an_edge_belongs_to_the_lower_one() -> None:
    # 0.8 is the upper edge of the twelfth bin; 0.81 is in the thirteenth.
    bins = metrics.reliability(np.array([0.0, 0.8, 0.81, 1.0]), np.ones(4, bool))
    assert list(np.flatnonzero(bins.counts)) == [0, 11, 12, 14]
    assert len(bins.counts) == 15


def test_a_perfectly_calibrated_forecast_has_almost_no_error() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.2, 1, 200_000)
    correct = rng.uniform(size=confidence.size) < confidence
    assert metrics.calibration_error(metrics.reliability(confidence, correct)) < 0.005


@given(n=st.integers(1, 100_000), data=st.data())
def test_interval_of_a_proportion_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    expected = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    found = metrics.proportion_ci95(np.array([successes]), np.array([n]))
    np.testing.assert_allclose(np.ravel(found), [expected.low, expected.high], atol=1e-12)


@given(data=st.data(), n=st.integers(1, 30))
def test_any_predictions_have_metrics_in_range(data: st.DataObject, n: int) -> None:
    logits = data.draw(
        npst.arrays(np.float32, (n, 10), elements=st.floats(-(2.0**100), 2.0**100, width=32))
    )
    labels = data.draw(npst.arrays(np.uint8, n, elements=st.integers(0, 9)))
    predicted = metrics.predictions(logits, labels)
    found = metrics.summary(predicted) | metrics.details(predicted)
    assert found.keys() == {"accuracy", "loss", "macro_f1", "calibration_error"}
    assert 0 <= found.pop("loss") < 1000
    assert all(0 <= value <= 1 for value in found.values())
    assert predicted.confusion.sum() == predicted.reliability.counts.sum() == n


def test_everything_wrong_or_nothing_to_predict() -> None:
    wrong = metrics.predictions(logits_of(np.ones(5, int), 0.99), np.zeros(5, np.uint8))
    assert metrics.summary(wrong)["accuracy"] == 0
    assert metrics.details(wrong) == pytest.approx({"macro_f1": 0, "calibration_error": 0.99})
    nothing = metrics.predictions(np.empty((0, 10), np.float32), LABELS[:0])
    assert metrics.summary(nothing) == metrics.details(nothing) == {}
