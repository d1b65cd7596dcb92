"""How many kept images each model recognizes."""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from stages.lib.comparison import Z_95


def report(probabilities: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """For each model its accuracy on n > 0 images, and what it confuses with what.

    Takes each model's probabilities float64 (n, 10), and labels uint8 (n,).
    """
    lines = []
    for name, of in probabilities.items():
        digits = of.argmax(axis=1)
        n, correct = len(labels), int(np.sum(digits == labels))
        low, high = wilson_ci95(correct, n)
        lines.append(
            f"{name}: accuracy {correct / n:.3f} ({correct} of {n}), "
            f"95% interval {low:.3f} to {high:.3f}"
        )
        wrong = Counter(zip(labels[digits != labels], digits[digits != labels], strict=True))
        lines += [
            f"  {label} read as {digit}: {count}" for (label, digit), count in wrong.most_common()
        ]
    return "\n".join(lines)


def wilson_ci95(correct: int, n: int) -> tuple[float, float]:
    """95 % confidence interval for a proportion of which `correct` of n > 0 were seen.

    Unlike the usual one (Wald's), it holds for few images and near 0 and 1. Source: Wilson, J. Am.
    Stat. Assoc. 22 (1927) 209-212; recommended for small n by Brown, Cai and DasGupta, Statistical
    Science 16 (2001) 101-133.
    """
    p, z2 = correct / n, Z_95**2
    center = (p + z2 / (2 * n)) / (1 + z2 / n)
    margin = Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, center - margin), min(1.0, center + margin)
