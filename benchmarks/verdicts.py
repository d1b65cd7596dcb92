"""Print how often verdicts are wrong, as in docs/experiments.md; figures out of bounds are bold.

A run has an image right where the image's difficulty for the architecture, a part of its own, and a
shift of all images add up to less than a threshold.
"""

from itertools import product

import numpy as np
from tabulate import tabulate

from revisions.verdicts import compare, outcome, vs_best

DRAWS = 5000
MARGIN = 0.003
# Correlation of an image's difficulty for two runs: with 2.2% mistakes, they share 70% of them.
SHARED = 0.95
TEST, VALIDATION, LEADERBOARD = 0.0020, 0.0028, 0.0029  # standard deviations over seeds
# Images, mistakes, noise. With fewer than 4.5% mistakes, the image noise cannot be 0.25 points.
SCENES = {
    "same architecture, test": (10_000, 0.022, TEST),
    "same architecture, validation": (5_000, 0.022, VALIDATION),
    "another, equal on these images": (10_000, 0.045, TEST),
    "another, equal on all images": (10_000, 0.045, TEST),
}
# The seeds of each side, and the most errors in 100.
SIDES = {(3, 3): 6.0, (5, 5): 6.0, (10, 10): 6.0, (3, 10): 7.5}


def runs(rng: np.random.Generator, scene: str) -> list[np.ndarray]:
    """Simulate ten runs of two equal settings and a better one: bool (10, n), which are right."""
    from scipy.stats import multivariate_normal, norm

    images, mistakes, noise = SCENES[scene]
    threshold, easier = norm.isf([mistakes, mistakes - MARGIN])
    twice = multivariate_normal.cdf([-threshold] * 2, cov=[[1, SHARED], [SHARED, 1]])
    shift = np.sqrt(noise**2 - (mistakes - twice) / images) / norm.pdf(threshold)
    first, new = rng.standard_normal((2, 1, images), np.float32)
    second = new if "all" in scene else rng.permuted(first, axis=1) if "these" in scene else first
    own = np.sqrt(1 - SHARED) * rng.standard_normal((2, 10, images), np.float32)
    own += shift * rng.standard_normal((2, 10, 1), np.float32)
    one, other = np.sqrt(SHARED) * np.stack([first, second]) + own
    return [one < threshold, other < threshold, other < easier]


def judge(one: np.ndarray, other: np.ndarray, better: np.ndarray) -> list[bool]:
    low, high = compare(one, other).ci95
    result = compare(one, better)
    covered, said = result.ci95[0] <= MARGIN <= result.ci95[1], outcome(result, MARGIN)
    return [not low <= 0 <= high, said == "equal", covered, said == "better"]


def settings(rng: np.random.Generator, scene: str) -> list[list[str]]:
    draws = []
    for _ in range(DRAWS):
        right = runs(rng, scene)
        inputs = right, [side.mean(axis=1) for side in right]
        draws.append([[judge(a[:n], b[:m], c[:m]) for n, m in SIDES] for a, b, c in inputs])
    rows = []
    for known, by_sides in zip(("yes", "no"), np.mean(draws, axis=0), strict=True):
        for (sides, most), shares in zip(SIDES.items(), by_sides, strict=True):
            # Without predictions, the verdict is about these images.
            mosts = [100] * 4 if known == "no" and "all" in scene else [most, 6, 100, 100]
            figures = map(percent, shares, [0, 0, 100 - mosts[0], 0], mosts)
            rows.append([scene, known, "{} and {}".format(*sides), *figures])
    return rows


def leaderboard(rng: np.random.Generator, rows: int, seeds: int) -> list[str]:
    draws = []
    for _ in range(4 * DRAWS):
        samples = rng.normal(0, LEADERBOARD, (rows, seeds))
        equal, _ = vs_best([*samples], ["hidden"] * rows)
        samples[0] += 0.01
        led, _ = vs_best([*samples], ["hidden"] * rows)
        draws.append(["worse" in equal, led.count("worse") / (rows - 1)])
    least = 65 if (rows, seeds) == (10, 3) else 0
    return [str(rows), str(seeds), *map(percent, np.mean(draws, axis=0), (0, least), (5.5, 100))]


def percent(rate: float, least: float, most: float) -> str:
    return f"{100 * rate:.1f}" if least <= 100 * rate <= most else f"**{100 * rate:.1f}**"


def show(header: str, rows: list[list[str]]) -> None:
    print(tabulate(rows, header.split("|"), "pipe", disable_numparse=True), end="\n\n", flush=True)


def main() -> None:
    rng = np.random.default_rng(1)
    columns = "equal: called different|0.3 apart: called equal|interval covers 0.3|called better"
    show(f"architecture|predictions|seeds|{columns}", [r for s in SCENES for r in settings(rng, s)])
    columns = "equal: any called worse|one leads by 1.0: others called worse"
    sizes = product((2, 10, 50), (3, 5, 10))
    show(f"settings|seeds|{columns}", [leaderboard(rng, *size) for size in sizes])


if __name__ == "__main__":
    main()
