"""Predictions -> numbers. Probabilities here are float64 (n, 10) and each row sums to 1."""

import math
from typing import NamedTuple

import numpy as np

from stages.lib.splits import CLASSES

CALIBRATION_BINS = 15
# The 97.5 % quantile of the standard normal distribution.
Z_95 = 1.959963984540054


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits, float32 (n, 10) -> class probabilities, float64 (n, 10), that sum to 1.

    For either model these are the probabilities that training optimises: given ten sigmoids,
    Keras's cross-entropy looks behind them and takes the softmax of their logits, too. The
    sigmoids themselves are no distribution.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(shifted)
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Every score of one model on one split of n images; labels uint8 (n,).

    Without images there is nothing to score: an empty mapping.
    """
    if not len(labels):
        return {}
    return {
        "accuracy": accuracy(probabilities, labels),
        "loss": cross_entropy(probabilities, labels),
        "macro_f1": macro_f1(confusion(probabilities.argmax(axis=1), labels)),
        "calibration_error": calibration_error(probabilities, labels),
    }


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose most probable digit is the label; labels uint8 (n,), n > 0."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative natural logarithm of the label's probability, in nats; n > 0."""
    of_label = probabilities[np.arange(len(labels)), labels]
    # A probability that underflowed to zero would cost infinitely much.
    return float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean())


class Reliability(NamedTuple):
    """CALIBRATION_BINS bins of equal width over the confidence: count, and means (NaN if empty)."""

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> Reliability:
    """Sort the images into bins by the probability of the most probable digit, (low, high]."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        means = [
            np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) / counts
            for values in (confidence, right)
        ]
    return Reliability(counts, *means)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error: the mean of |accuracy - confidence| over 15 equal-width bins.

    Each bin weighs as much as it has images. Source: Guo, Pleiss, Sun and Weinberger, "On
    Calibration of Modern Neural Networks", ICML 2017, equation 3. n > 0.
    """
    counts, confidence, accuracy_ = reliability(probabilities, labels)
    filled = counts > 0
    gaps = np.abs(accuracy_[filled] - confidence[filled])
    return float((counts[filled] * gaps).sum() / counts.sum())


def confusion(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts, int64 (10, 10): row = label, column = prediction."""
    cells = labels.astype(np.int64) * CLASSES + predictions
    return np.bincount(cells, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


class PerDigit(NamedTuple):
    """float64 (10,) each: of the images called d, the share that are; of the images of d, the
    share called so; the harmonic mean of both. 0 where the share is of nothing."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def per_digit(confusion_matrix: np.ndarray) -> PerDigit:
    """Precision, recall and F1 of each digit from a confusion matrix as `confusion` makes it."""
    right = np.diag(confusion_matrix)
    called, actual = confusion_matrix.sum(axis=0), confusion_matrix.sum(axis=1)
    return PerDigit(
        right / np.maximum(called, 1),
        right / np.maximum(actual, 1),
        2 * right / np.maximum(called + actual, 1),
    )


def macro_f1(confusion_matrix: np.ndarray) -> float:
    """The plain mean of the F1 of the ten digits."""
    return float(per_digit(confusion_matrix).f1.mean())


def compare(linear_right: np.ndarray, hidden_right: np.ndarray) -> dict[str, float | int]:
    """How the hidden model compares with the linear one on the same n > 0 images.

    Takes bool (n,) each: was the image recognised? Gives the four counts, the gain in accuracy
    with its 95 % confidence interval, and the p-value of McNemar's exact test.
    """
    n = len(linear_right)
    only_linear = int(np.sum(linear_right & ~hidden_right))
    only_hidden = int(np.sum(hidden_right & ~linear_right))
    low, high = paired_difference_ci95(only_hidden, only_linear, n)
    return {
        "accuracy_gain": (only_hidden - only_linear) / n,
        "accuracy_gain_ci95_low": low,
        "accuracy_gain_ci95_high": high,
        "mcnemar_p": mcnemar_p(only_hidden, only_linear),
        "both_right": int(np.sum(linear_right & hidden_right)),
        "only_linear_right": only_linear,
        "only_hidden_right": only_hidden,
        "both_wrong": int(np.sum(~linear_right & ~hidden_right)),
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
    tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
    p: float = 2 * tail / 2**n
    return min(1.0, p)
