"""Logits -> predictions and what they are worth. Probabilities are float64 (n, 10)."""

from typing import NamedTuple

import numpy as np

from digits.comparison import Z_95
from digits.splits import CLASSES

CALIBRATION_BINS = 15


class Reliability(NamedTuple):
    """CALIBRATION_BINS bins of equal width over the confidence: count, and means (NaN if empty)."""

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


class PerDigit(NamedTuple):
    """float64 (10,) each: the share of the images predicted as d that are d (precision), the share
    of the images of d that are predicted as d (recall), the harmonic mean of both (F1). A share of
    nothing is 0."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


class Predictions(NamedTuple):
    """What a model predicts for n images, and the counts that metrics and figures share."""

    labels: np.ndarray  # uint8 (n,)
    digits: np.ndarray  # int64 (n,): the most probable digit
    confidence: np.ndarray  # float64 (n,): its probability
    correct: np.ndarray  # bool (n,)
    loss: float  # mean cross-entropy in nats; NaN if n is 0
    confusion: np.ndarray  # int64 (10, 10): row = label, column = prediction
    reliability: Reliability


def predictions(logits: np.ndarray, labels: np.ndarray) -> Predictions:
    """Everything that is computed once from logits float32 (n, 10) and labels uint8 (n,)."""
    probabilities = softmax(logits)
    digits, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0)
    correct = digits == labels
    return Predictions(
        labels,
        digits,
        confidence,
        correct,
        cross_entropy(probabilities, labels),
        confusion(digits, labels),
        reliability(confidence, correct),
    )


def summary(predicted: Predictions) -> dict[str, float]:
    """Accuracy and loss; empty without images."""
    if not len(predicted.labels):
        return {}
    return {"accuracy": float(predicted.correct.mean()), "loss": predicted.loss}


def details(predicted: Predictions) -> dict[str, float]:
    """Macro F1 and calibration error; empty without images."""
    if not len(predicted.labels):
        return {}
    return {
        "macro_f1": macro_f1(predicted.confusion),
        "calibration_error": calibration_error(predicted.reliability),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits, float32 (n, 10) -> class probabilities, float64 (n, 10), that sum to 1.

    For both models these are the probabilities that training optimizes: Keras's cross-entropy takes
    the softmax of the logits even if the output layer has sigmoids, which are no distribution.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(shifted)
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative natural logarithm of the label's probability, in nats; NaN if n is 0."""
    if not len(labels):
        return float("nan")
    of_label = probabilities[np.arange(len(labels)), labels]
    # The loss of a probability that underflowed to zero would be infinite.
    return float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean())


def reliability(confidence: np.ndarray, correct: np.ndarray) -> Reliability:
    """Sort images into bins (low, high] by confidence, float64 (n,); `correct` is bool (n,)."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        means = [
            np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) / counts
            for values in (confidence, correct)
        ]
    return Reliability(counts, *means)


def calibration_error(bins: Reliability) -> float:
    """Expected calibration error: the mean of |accuracy - confidence| over the bins.

    Each bin weighs as much as it has images. Source: Guo, Pleiss, Sun and Weinberger, "On
    Calibration of Modern Neural Networks", ICML 2017, equation 3. n > 0.
    """
    filled = bins.counts > 0
    gaps = np.abs(bins.accuracy[filled] - bins.confidence[filled])
    return float((bins.counts[filled] * gaps).sum() / bins.counts.sum())


def proportion_ci95(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % confidence interval (low, high) of a proportion; n > 0, elementwise.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    share = successes / n
    center = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    margin = Z_95 * np.sqrt(share * (1 - share) / n + (Z_95 / (2 * n)) ** 2) / (1 + Z_95**2 / n)
    return center - margin, center + margin


def confusion(digits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts, int64 (10, 10): row = label, column = predicted digit; both arrays are (n,)."""
    cells = labels.astype(np.int64) * CLASSES + digits
    return np.bincount(cells, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def per_digit(confusion: np.ndarray) -> PerDigit:
    """Precision, recall and F1 of each digit from a confusion matrix, int64 (10, 10)."""
    correct = np.diag(confusion)
    predicted, actual = confusion.sum(axis=0), confusion.sum(axis=1)
    return PerDigit(
        correct / np.maximum(predicted, 1),
        correct / np.maximum(actual, 1),
        2 * correct / np.maximum(predicted + actual, 1),
    )


def macro_f1(confusion: np.ndarray) -> float:
    """The plain mean of the F1 of the ten digits."""
    return float(per_digit(confusion).f1.mean())
