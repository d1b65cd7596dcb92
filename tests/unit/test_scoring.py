"""Each formula against a value worked out another way: by hand, by SciPy, or published."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stages.lib import scoring

LABELS = np.array([0, 0, 1, 2, 2, 2], np.uint8)
PREDICTIONS = np.array([0, 1, 1, 2, 2, 0])
# Row = label, column = prediction, counted by hand.
COUNTS = np.zeros((10, 10), int)
COUNTS[0, 0], COUNTS[0, 1], COUNTS[1, 1], COUNTS[2, 2], COUNTS[2, 0] = 1, 1, 1, 2, 1


def sure_of(predictions: np.ndarray, confidence: np.ndarray | float) -> np.ndarray:
    """Probabilities that give each prediction its confidence and share the rest out evenly."""
    n = len(predictions)
    probabilities = np.repeat((1 - np.broadcast_to(confidence, n))[:, None] / 9, 10, axis=1)
    probabilities[np.arange(n), predictions] = confidence
    return probabilities


def test_softmax_agrees_with_scipy_even_for_extreme_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 300, (50, 10)).astype(np.float32)
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(scoring.softmax(logits), expected, rtol=1e-12)


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert scoring.accuracy(sure_of(PREDICTIONS, 0.9), LABELS) == pytest.approx(4 / 6)


def test_cross_entropy_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 3, (200, 10)), rng.integers(0, 10, 200).astype(np.uint8)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(200), labels].mean()
    assert scoring.cross_entropy(scoring.softmax(logits), labels) == pytest.approx(expected)


def test_cross_entropy_of_an_impossible_label_is_finite() -> None:
    assert 100 < scoring.cross_entropy(sure_of(np.array([3]), 1.0), np.array([4])) < 1000


def test_confusion_counts_labels_by_row() -> None:
    np.testing.assert_array_equal(scoring.confusion(PREDICTIONS, LABELS), COUNTS)


def test_per_digit_scores_and_their_mean() -> None:
    precision, recall, f1 = scoring.per_digit(COUNTS)
    np.testing.assert_allclose(precision[:4], [1 / 2, 1 / 2, 1, 0])
    np.testing.assert_allclose(recall[:4], [1 / 2, 1, 2 / 3, 0])
    np.testing.assert_allclose(f1[:4], [1 / 2, 2 / 3, 4 / 5, 0])
    assert scoring.macro_f1(COUNTS) == pytest.approx((1 / 2 + 2 / 3 + 4 / 5) / 10)


def test_calibration_error_by_hand() -> None:
    # Bin (0.8, 13/15]: two of four right at 0.85. Bin (14/15, 1]: both right at 0.99.
    confidence = np.array([0.85, 0.85, 0.85, 0.85, 0.99, 0.99])
    predictions = np.array([1, 2, 3, 4, 5, 6])
    labels = np.array([1, 2, 0, 0, 5, 6], np.uint8)
    error = scoring.calibration_error(sure_of(predictions, confidence), labels)
    assert error == pytest.approx(4 / 6 * (0.85 - 0.5) + 2 / 6 * (1 - 0.99))


def test_calibration_error_has_15_bins_of_equal_width() -> None:
    # 0.8 is the upper edge of the twelfth bin and belongs to it; 0.81 lies in the thirteenth.
    edges = scoring.reliability(
        sure_of(np.array([0, 0, 0]), np.array([0.8, 0.81, 1.0])), LABELS[:3]
    )
    assert list(np.flatnonzero(edges.counts)) == [11, 12, 14]
    assert len(edges.counts) == 15


def test_a_perfectly_calibrated_forecast_has_almost_no_error() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.2, 1, 200_000)
    labels = np.where(rng.uniform(size=confidence.size) < confidence, 3, 4).astype(np.uint8)
    probabilities = sure_of(np.full(confidence.size, 3), confidence)
    assert scoring.calibration_error(probabilities, labels) < 0.005


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (7, 1), (5, 5), (30, 12), (621, 66)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    n = first + second
    expected = scipy.stats.binomtest(first, n).pvalue if n else 1.0
    assert scoring.mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_on_a_published_example() -> None:
    # Airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009):
    # 7 and 1 discordant of 21 children. Exact p = 2 (1 + 8) / 2^8.
    assert scoring.mcnemar_p(1, 7) == pytest.approx(0.0703125)


def test_interval_by_hand() -> None:
    # The same children: the difference is 2/23 - 8/23 = -0.2609, its standard error
    # sqrt((10/23 - 0.2609^2) / 23) = 0.1263.
    low, high = scoring.paired_difference_ci95(1, 7, 21)
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
    got = scoring.paired_difference_ci95(first, second, n)
    assert got == pytest.approx((low, high), abs=0.05 * (high - low))


def test_interval_without_a_difference_is_not_a_point() -> None:
    low, high = scoring.paired_difference_ci95(0, 0, 100)
    assert low == -high
    assert 0.01 < high < 0.1


def test_comparison_counts_and_gain() -> None:
    linear = np.array([True, True, False, False, False, True])
    hidden = np.array([True, False, True, True, False, True])
    result = scoring.compare(linear, hidden)
    assert result["both_right"] == 2
    assert result["only_linear_right"] == 1
    assert result["only_hidden_right"] == 2
    assert result["both_wrong"] == 1
    assert result["accuracy_gain"] == pytest.approx(1 / 6)
    assert result["mcnemar_p"] == 1
    assert result["accuracy_gain_ci95_low"] < 1 / 6 < result["accuracy_gain_ci95_high"]


@given(
    data=st.data(),
    n=st.integers(1, 30),
)
def test_scores_stay_in_range_for_any_predictions(data: st.DataObject, n: int) -> None:
    logits = data.draw(
        npst.arrays(np.float32, (n, 10), elements=st.floats(-(2.0**100), 2.0**100, width=32))
    )
    labels = data.draw(npst.arrays(np.uint8, n, elements=st.integers(0, 9)))
    scores = scoring.scores(scoring.softmax(logits), labels)
    assert scores.keys() == {"accuracy", "loss", "macro_f1", "calibration_error"}
    for name in ("accuracy", "macro_f1", "calibration_error"):
        assert 0 <= scores[name] <= 1
    assert 0 <= scores["loss"] < 1000


def test_everything_wrong_and_one_class_only() -> None:
    labels = np.zeros(5, np.uint8)
    scores = scoring.scores(sure_of(np.ones(5, int), 0.99), labels)
    assert scores["accuracy"] == 0
    assert scores["macro_f1"] == 0
    assert scores["calibration_error"] == pytest.approx(0.99)


@given(
    right=npst.arrays(bool, st.tuples(st.just(2), st.integers(1, 60))),
)
def test_a_comparison_stays_in_range_and_its_counts_add_up(right: np.ndarray) -> None:
    result = scoring.compare(*right)
    counts = ("both_right", "only_linear_right", "only_hidden_right", "both_wrong")
    assert sum(result[name] for name in counts) == right.shape[1]
    low, high = result["accuracy_gain_ci95_low"], result["accuracy_gain_ci95_high"]
    assert -1 <= low < high <= 1
    # The interval is around Bonett and Price's estimate, which lies nearer to zero than the gain.
    assert low < result["accuracy_gain"] * right.shape[1] / (right.shape[1] + 2) < high
    assert 0 < result["mcnemar_p"] <= 1
    turned = scoring.compare(*right[::-1])
    assert turned["accuracy_gain"] == -result["accuracy_gain"]
    assert turned["mcnemar_p"] == result["mcnemar_p"]


def test_nothing_to_score() -> None:
    assert scoring.scores(scoring.softmax(np.empty((0, 10), np.float32)), LABELS[:0]) == {}
