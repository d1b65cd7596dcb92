"""How many kept images each model recognizes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from digits import metrics


def report(
    probabilities: Mapping[str, np.ndarray], labels: np.ndarray, names: Sequence[str]
) -> list[str]:
    """For each model its accuracy on n > 0 images, and the labels that it confuses.

    Takes each model's probabilities float64 (n, labels), labels uint8 (n,) and their names.
    """
    lines = []
    for name, found in probabilities.items():
        predicted = found.argmax(axis=1)
        n, correct = len(labels), int(np.sum(predicted == labels))
        low, high = metrics.proportion_ci95(np.array(correct), np.array(n))
        lines.append(
            f"{name}: accuracy {correct / n:.3f} ({correct} of {n}), "
            f"95% interval {low:.3f} to {high:.3f}"
        )
        wrong = predicted != labels
        confused = Counter(zip(labels[wrong], predicted[wrong], strict=True))
        lines += [
            f"  {names[label]} read as {names[other]}: {count}"
            for (label, other), count in confused.most_common()
        ]
    return lines
