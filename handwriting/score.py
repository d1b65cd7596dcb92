"""How many kept images each model recognizes."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from digits import metrics


def report(probabilities: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """For each model its accuracy on n > 0 images, and what it confuses with what.

    Takes each model's probabilities float64 (n, 10), and labels uint8 (n,).
    """
    lines = []
    for name, of in probabilities.items():
        digits = of.argmax(axis=1)
        n, correct = len(labels), int(np.sum(digits == labels))
        low, high = metrics.proportion_ci95(np.array(correct), np.array(n))
        lines.append(
            f"{name}: accuracy {correct / n:.3f} ({correct} of {n}), "
            f"95% interval {low:.3f} to {high:.3f}"
        )
        wrong = Counter(zip(labels[digits != labels], digits[digits != labels], strict=True))
        lines += [
            f"  {label} read as {digit}: {count}" for (label, digit), count in wrong.most_common()
        ]
    return "\n".join(lines)
