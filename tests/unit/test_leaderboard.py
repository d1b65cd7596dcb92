"""The leaderboard of given models; tests/unit/test_runs.py finds them."""

import pytest

from digits.errors import UserError
from tools.leaderboard import against_best, leaderboard
from tools.runs import Model, Settings


def model(
    run: str,
    validation: float | None,
    units: str = "100",
    seed: str = "1",
    dataset: str = "mnist",
    kind: str = "hidden",
    code: str = "abcdef",
) -> Model:
    """A model; the better its validation accuracy, the worse its test accuracy."""
    settings = Settings(
        kind,
        (("dataset", dataset), ("validation_size", "5000")),
        (("epochs", "5"), ("units", units)),
        code,
    )
    return Model(settings, ("1", seed), f"{run} {kind}", run, validation, 1 - (validation or 0))


def test_the_best_mean_over_seeds_comes_first() -> None:
    board = leaderboard(
        [
            model("main", 0.8),
            model("lucky", 0.97, units="300", seed="1"),
            model("unlucky", 0.91, units="300", seed="2"),
            model("steady", 0.95, units="1000"),
        ]
    )
    assert board.splitlines()[:6] == [
        "Validation accuracy, dataset mnist, validation_size 5000",
        "",
        "model   epochs  units  accuracy     std  seeds  against best   best run",
        "hidden       5   1000    0.9500       -      1  best           steady",
        "hidden       5    300    0.9400  0.0424      2  too few seeds  lucky",
        "hidden       5    100    0.8000       -      1  too few seeds  main",
    ]


def test_rows_that_cannot_be_told_apart_from_the_best_are_marked() -> None:
    board = leaderboard(
        model(f"{units}-{seed}", mean + noise, units=units, seed=str(seed))
        for units, mean in (("1000", 0.980), ("300", 0.979), ("100", 0.950))
        for seed, noise in enumerate((-0.002, 0, 0.002))
    )
    marks = {line.split()[2]: line for line in board.splitlines() if line.startswith("hidden")}
    assert "  best  " in marks["1000"]
    assert "  not told apart  " in marks["300"]
    assert "  worse  " in marks["100"]
    assert "Holm" in board


def test_the_marks_are_corrected_for_the_number_of_rows() -> None:
    # Alone, p = 0.044; as one of four rows, four times that.
    best, other = [0.980, 0.982, 0.984], [0.976, 0.978, 0.979]
    assert against_best([best, other]) == ["best", "worse"]
    assert against_best([best, *[other] * 4]) == ["best", *["not told apart"] * 4]
    # A row with too few seeds is not compared, so it does not count.
    assert against_best([best, [0.97], other]) == ["best", "too few seeds", "worse"]
    assert against_best([best[:2], other]) == ["best", "too few seeds"]


def test_only_models_with_the_same_validation_images_share_a_table() -> None:
    board = leaderboard([model("main", 0.8), model("other", 0.99, dataset="fashion")])
    first, second = board.split("\n\nValidation accuracy, ")
    assert "mnist" in first and "other" not in first
    assert second.startswith("dataset fashion") and "other" in second


def test_code_is_named_where_it_tells_rows_apart() -> None:
    one = [model("main", 0.8), model("main", 0.9, kind="linear", units="-", code="012345")]
    assert "code" not in leaderboard(one)
    two = leaderboard([*one, model("tanh", 0.81, code="fedcba")])
    assert "hidden, code abcd" in two and "hidden, code fedc" in two


def test_long_names_do_not_break_the_table() -> None:
    names = ("feature/" + "x" * 200, "ü" * 60)
    board = leaderboard(
        model(name, 0.9, units=units, dataset="d" * 100)
        for name in names
        for units in ("1" * 50, "2")
    )
    head, rows = board.splitlines()[2], board.splitlines()[3:5]
    assert head.index("best run") <= 80
    # Whole, so that it can be copied.
    assert {row[head.index("best run") :] for row in rows} == {names[0]}


def test_models_without_validation_images_are_left_out() -> None:
    assert "unvalidated" not in leaderboard([model("unvalidated", None), model("main", 0.8)])
    with pytest.raises(UserError, match="no run here has a validation accuracy"):
        leaderboard([model("unvalidated", None)])
