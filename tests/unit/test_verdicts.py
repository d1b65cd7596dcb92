"""Verdicts against SciPy's own results, draws with a known truth, and in words."""

import numpy as np
import pytest
from scipy import stats

from revisions import verdicts
from revisions.verdicts import Difference, compare, pair_verdict, vs_best


def test_three_runs_tell_the_variance_over_images() -> None:
    rng = np.random.default_rng(0)
    share, another = rng.beta(0.5, 0.5, (2, 20_000))
    one, same, other = (rng.random((500, 20_000)) < p for p in (share, share, another))
    expected = np.var(another - share) / 20_000
    assert compare(one[:3], other[:4]).image_variance == pytest.approx(expected, rel=0.05)
    assert compare(one[:3], same[:4]).image_variance == pytest.approx(0, abs=0.02 * expected)
    # With so many seeds, only images are left to chance.
    low, high = compare(one, other).ci95
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(expected), rel=0.03)


def test_the_proposed_seeds_show_the_margin_in_80_of_100_cases() -> None:
    more = verdicts.more_seeds(Difference(0, (-1, 1), (3, 5), 0.002**2, None), 0.003)
    rng, shown = np.random.default_rng(0), []
    for number in (more, more - 1):
        one, other = rng.normal(0, 2, (40_000, 3 + number)), rng.normal(3, 2, (40_000, 5 + number))
        shown.append(np.mean(stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue < 0.05))
    assert shown[0] > 0.8 > shown[1]


def test_verdicts_about_settings() -> None:
    few, equal, more = np.array([0.9, 0.8]), np.full(3, 0.9), np.full(3, 0.8)
    near = Difference(-0.002, (-0.0044, 0.0004), (3, 3), 0.002**2, 0.0)
    undecided = "undecided: between -0.44 and +0.04 points;"
    for found, said in (
        (near._replace(ci95=(0.001, 0.005)), "half is better than main"),
        (near._replace(ci95=(-0.004, -0.001)), "main is better than half"),
        (near._replace(ci95=(0.001, 0.002)), "equal, within 0.3 points"),
        (near, f"{undecided} about 6 more seeds on each side would show 0.3"),
        (near._replace(seeds=(9, 9)), f"{undecided} so many seeds usually show 0.3"),
        (near._replace(image_variance=1), f"{undecided} even 1,000 more seeds would not show 0.3"),
        (near._replace(ci95=(0, 1), image_variance=None), "undecided on these images"),
        (compare(few, equal), "no verdict: each side needs 3 seeds, preferably 5; at least 1 more"),
        (compare(equal, more), "no verdict: the accuracy is the same"),
    ):
        assert verdicts.verdict(found, "main", "half", 0.003).startswith(said)


def test_verdicts_about_models_follow_the_interval_and_round_p_up() -> None:
    for gain, ci95, p, conclusion, cases in (
        (0.1, (0.0, 0.2), 0.0501, "no clear difference: ", "at most 51 of 1,000 cases"),
        (0.1, (0.001, 0.2), 0.0499, "wide is better than main: ", "at most 50 of 1,000 cases"),
        (-0.1, (-0.2, -0.01), 0, "main is better than wide: ", "at most 1 of 1,000,000 cases"),
        (0, (-0.1, 0.1), 1, "no clear difference: ", "the accuracies are equal"),
    ):
        said = pair_verdict(gain, ci95, p, "main", "wide")
        assert said.startswith(conclusion) and said.endswith(cases)
    assert "interval +0.0030 to +0.40" in verdicts.difference(0.002, (0.00003, 0.004))


def test_the_leaderboard_marks_as_tukeys_test_does() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.normal(mean, 1, n) for mean, n in ((0, 3), (3, 5), (2, 4), (1, 9), (-2, 3))]
    p = stats.tukey_hsd(*samples).pvalue[1]
    expected = ["worse" if value < 0.05 else "no clear difference" for value in p]
    assert {*expected} == {"worse", "no clear difference"}
    expected[1] = "best"
    rows = [*map(list, samples), [9, 9]]
    assert vs_best(rows, ["hidden"] * 6)[0] == [*expected, "too few seeds"]
    # A quiet model does not hide another's noise.
    rows += [[-9, -9, -9.1]] * 99
    assert vs_best(rows, ["hidden"] * 6 + ["linear"] * 99)[0][2] != "worse"
    assert vs_best([[1, 1, 1], [2, 2, 2]], ["hidden"] * 2)[0] == ["cannot be told"] * 2
    equal = np.random.default_rng(0).normal(0, 1, (500, 10, 3))
    optimism = np.mean([vs_best(list(draw), ["hidden"] * 10)[1] for draw in equal])
    assert optimism == pytest.approx(equal.mean(axis=2).max(axis=1).mean(), rel=0.05)
