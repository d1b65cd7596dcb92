"""Logits -> predictions and metrics; whether one of two models is better."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CALIBRATION_BINS = 15
# The 97.5% quantile of the standard normal distribution.
Z_95 = 1.959963984540054


class Reliability(NamedTuple):
    """CALIBRATION_BINS bins of equal width over the confidence: count, and means (NaN if empty)."""

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


class Predictions(NamedTuple):
    """The predictions for n images, and the counts that metrics and figures share."""

    labels: np.ndarray  # uint8 or uint16 (n,)
    predicted: np.ndarray  # int64 (n,): the most probable label
    confidence: np.ndarray  # float64 (n,): its probability
    correct: np.ndarray  # bool (n,)
    loss: float  # mean cross-entropy in nats; NaN if n is 0
    per_label: dict[str, np.ndarray]  # see per_label()
    reliability: Reliability


class Pairs(NamedTuple):
    """The same n > 0 images, counted by which of two models, baseline and model, is right."""

    both_right: int
    only_baseline_right: int
    only_model_right: int
    both_wrong: int

    @property
    def gain(self) -> float:
        """The accuracy of the model minus that of the baseline."""
        return (self.only_model_right - self.only_baseline_right) / sum(self)

    @property
    def ci95(self) -> tuple[float, float]:
        """95% confidence interval of the gain.

        Wald interval after Bonett and Price's Laplace adjustment (one more pair of each discordant
        kind), which unlike the plain Wald interval holds for few or no discordant pairs. Source:
        Bonett and Price, Br. J. Math. Stat. Psychol. 65 (2012) 479-488; recommended by Fagerland,
        Lydersen and Laake, Statistics in Medicine 33 (2014) 2850-2875.
        """
        n = sum(self) + 2
        first, second = (self.only_baseline_right + 1) / n, (self.only_model_right + 1) / n
        gain = second - first
        margin = Z_95 * math.sqrt((first + second - gain**2) / n)
        return max(-1.0, gain - margin), min(1.0, gain + margin)

    @property
    def p(self) -> float:
        """Two-sided p-value of McNemar's exact test.

        If both were equally good, each discordant pair would fall either way like a fair coin; p is
        twice the smaller binomial tail, at most 1. Source: McNemar, Psychometrika 12 (1947)
        153-157, in its exact form. Integer arithmetic until the last division.
        """
        n = self.only_baseline_right + self.only_model_right
        tail = ways = 1
        for k in range(min(self.only_baseline_right, self.only_model_right)):
            ways = ways * (n - k) // (k + 1)
            tail += ways
        p: float = 2 * tail / 2**n
        return min(1.0, p)


def predictions(logits: np.ndarray, labels: np.ndarray) -> Predictions:
    """Predictions and derived counts from logits float32 (n, labels) and integer labels (n,)."""
    probabilities = softmax(logits)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0)
    correct = predicted == labels
    return Predictions(
        labels,
        predicted,
        confidence,
        correct,
        cross_entropy(probabilities, labels),
        per_label(labels, predicted, logits.shape[1]),
        reliability(confidence, correct),
    )


def summary(found: Predictions) -> dict[str, float]:
    """Accuracy and loss; empty without images."""
    if not len(found.labels):
        return {}
    return {"accuracy": float(found.correct.mean()), "loss": found.loss}


def details(found: Predictions) -> dict[str, float]:
    """Macro F1 and calibration error; n > 0."""
    return {
        "macro_f1": float(found.per_label["f1"].mean()),
        "calibration_error": calibration_error(found.reliability),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits, float32 (n, labels) -> the probabilities that training optimizes, in float64."""
    largest = logits.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(logits.astype(np.float64) - largest)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative natural logarithm of the label's probability, in nats; NaN if n is 0."""
    if not len(labels):
        return float("nan")
    given = probabilities[np.arange(len(labels)), labels]
    # The loss of a probability that underflowed to zero would be infinite.
    return float(-np.log(np.maximum(given, np.finfo(np.float64).tiny)).mean())


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
    """Expected calibration error: the mean of |accuracy - confidence| over n > 0 images.

    Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
    equation 3.
    """
    gaps = np.abs(bins.accuracy - bins.confidence)
    return float(np.nansum(bins.counts * gaps) / bins.counts.sum())


def proportion_ci95(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95% confidence interval (low, high) of a proportion; n > 0, elementwise.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    share = successes / n
    center = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    margin = Z_95 * np.sqrt(share * (1 - share) / n + (Z_95 / (2 * n)) ** 2) / (1 + Z_95**2 / n)
    return center - margin, center + margin


def per_label(labels: np.ndarray, predicted: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Precision, recall and F1, their harmonic mean, of each of `count` labels; float64 (count,).

    `labels` and `predicted` are integers (n,). A share of nothing is 0.
    """
    correct, predicted, actual = (
        np.bincount(values, minlength=count)
        for values in (labels[labels == predicted], predicted, labels)
    )
    return {
        "precision": correct / np.maximum(predicted, 1),
        "recall": correct / np.maximum(actual, 1),
        "f1": 2 * correct / np.maximum(predicted + actual, 1),
    }


def pairs(baseline: np.ndarray, model: np.ndarray) -> Pairs:
    """Compare on the same n > 0 images; bool (n,) each: is the prediction right?"""
    return Pairs(
        both_right=int(np.sum(baseline & model)),
        only_baseline_right=int(np.sum(baseline & ~model)),
        only_model_right=int(np.sum(model & ~baseline)),
        both_wrong=int(np.sum(~baseline & ~model)),
    )


def compare(baseline: str, found: dict[str, Predictions]) -> list[dict[str, str | float | int]]:
    """How each other model compares with the baseline, an entry each.

    `mcnemar_p` is corrected for the number of entries by Holm's method.
    """
    models = [model for model in found if model != baseline]
    compared = [pairs(found[baseline].correct, found[model].correct) for model in models]
    corrected = holm([pair.p for pair in compared])
    return [
        {
            "baseline": baseline,
            "model": model,
            "accuracy_gain": pair.gain,
            "accuracy_gain_ci95_low": pair.ci95[0],
            "accuracy_gain_ci95_high": pair.ci95[1],
            "mcnemar_p": p,
            **pair._asdict(),
        }
        for model, pair, p in zip(models, compared, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of one family of tests, corrected so that together they err in 5% at most.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70, as adjusted p-values.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
