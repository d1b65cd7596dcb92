"""Compute predictions and metrics from logits, and whether one of two models is better."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

CALIBRATION_BINS = 15
SIGNIFICANCE = 0.05
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


class PairedCounts(NamedTuple):
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
    def p(self) -> float:
        """Two-sided p-value of McNemar's exact test.

        If both were equally good, each discordant pair would fall either way like a fair coin; p is
        twice the smaller binomial tail, at most 1. Source: McNemar, Psychometrika 12 (1947)
        153-157, in its exact form; recommended for models trained once by Dietterich, Neural
        Computation 10 (1998) 1895-1923.
        """
        from scipy.special import bdtr

        one, other = self.only_baseline_right, self.only_model_right
        return min(1.0, 2 * float(bdtr(min(one, other), one + other, 0.5)))

    def interval(self, tests: int = 1) -> tuple[float, float]:
        """95% confidence interval of the gain, corrected for a number of tests (Bonferroni).

        Wald interval after Bonett and Price's Laplace adjustment (one more pair of each discordant
        kind), which unlike the plain Wald interval holds for few or no discordant pairs. Source:
        Bonett and Price, Br. J. Math. Stat. Psychol. 65 (2012) 479-488; recommended by Fagerland,
        Lydersen and Laake, Statistics in Medicine 33 (2014) 2850-2875. Where it contradicts the
        exact test, the end next to 0 is Clopper and Pearson's (Biometrika 26 (1934) 404-413), which
        inverts that test: the interval never contains 0 if p < 5%, and always if not.
        """
        level = SIGNIFICANCE / tests
        n = sum(self) + 2
        first, second = (self.only_baseline_right + 1) / n, (self.only_model_right + 1) / n
        gain = second - first
        margin = NormalDist().inv_cdf(1 - level / 2) * math.sqrt((first + second - gain**2) / n)
        low, high = max(-1.0, gain - margin), min(1.0, gain + margin)
        if (self.p < level) == (low <= 0 <= high):
            from scipy.stats import binomtest

            discordant = self.only_baseline_right + self.only_model_right
            exact = binomtest(self.only_model_right, discordant).proportion_ci(1 - level)
            ends = [(2 * end - 1) * discordant / sum(self) for end in exact]
            low, high = (ends[0], high) if gain > 0 else (low, ends[1])
        return low, high


def predictions(logits: np.ndarray, labels: np.ndarray) -> Predictions:
    """Compute predictions and derived counts from logits float32 (n, labels), labels (n,)."""
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


def summary(predictions: Predictions) -> dict[str, float]:
    """Return accuracy and loss; nothing without images."""
    if not len(predictions.labels):
        return {}
    return {"accuracy": float(predictions.correct.mean()), "loss": predictions.loss}


def details(predictions: Predictions) -> dict[str, float]:
    """Return macro F1, over all labels given or predicted, and calibration error; n > 0."""
    occurring = np.union1d(predictions.labels, predictions.predicted)
    return {
        "macro_f1": float(predictions.per_label["f1"][occurring].mean()),
        "calibration_error": calibration_error(predictions.reliability),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the probabilities that training optimizes, float64: logits float32 (n, labels)."""
    largest = logits.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(logits.astype(np.float64) - largest)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean negative logarithm of the label's probability, in nats; NaN if n is 0."""
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
    """Compute the expected calibration error: the mean |accuracy - confidence| of n > 0 images.

    Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
    equation 3.
    """
    gaps = np.abs(bins.accuracy - bins.confidence)
    return float(np.nansum(bins.counts * gaps) / bins.counts.sum())


def proportion_ci95(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95% confidence interval (low, high) of a proportion; n > 0, elementwise.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    fraction, scale = successes / n, 1 + Z_95**2 / n
    center = (fraction + Z_95**2 / (2 * n)) / scale
    margin = Z_95 * np.sqrt(fraction * (1 - fraction) / n + (Z_95 / (2 * n)) ** 2) / scale
    return center - margin, center + margin


def per_label(labels: np.ndarray, predicted: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Compute precision, recall and F1, their harmonic mean, of `count` labels; float64 (count,).

    `labels` and `predicted` are integers (n,). A fraction of nothing is 0.
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


def count_pairs(baseline: np.ndarray, model: np.ndarray) -> PairedCounts:
    """Count the same n > 0 images by which predictions, bool (n,) each, are correct."""
    # In the order of the fields: 0 if both are right, 1 if only the baseline is, ...
    kinds = 2 * ~baseline + ~model
    return PairedCounts(*np.bincount(kinds, minlength=4).tolist())


def compare(baseline: str, predicted: dict[str, Predictions]) -> list[dict[str, str | float | int]]:
    """Compare each model with the baseline, an entry each.

    Intervals and p-values are corrected for the number of entries (Bonferroni): the chance of even
    one false positive is at most 5%.
    """
    entries: list[dict[str, str | float | int]] = []
    for model in (name for name in predicted if name != baseline):
        pair = count_pairs(predicted[baseline].correct, predicted[model].correct)
        tests = len(predicted) - 1
        low, high = pair.interval(tests)
        entries.append(
            {
                "baseline": baseline,
                "model": model,
                "accuracy_gain": pair.gain,
                "accuracy_gain_ci95_low": low,
                "accuracy_gain_ci95_high": high,
                "mcnemar_p": min(1.0, tests * pair.p),
                **pair._asdict(),
            }
        )
    return entries
