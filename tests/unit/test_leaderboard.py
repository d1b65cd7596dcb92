"""The leaderboard of given models; tests/unit/test_runs.py finds them."""

import pytest

from digits.plumbing.errors import UserError
from revisions.leaderboard import leaderboard, vs_best
from revisions.runs import Model, ModelSettings

SETTINGS = ModelSettings(
    "hidden", (("dataset", "mnist"),), (("epochs", "5"), ("units", "100")), "abcdef"
)
FASHION = SETTINGS._replace(data=(("dataset", "fashion"),))


def model(run: str, validation: float | None, settings: ModelSettings = SETTINGS) -> Model:
    """A model; the better its validation accuracy, the worse its test accuracy."""
    return Model(settings, ("1", run), run, validation, 1 - (validation or 0))


def units(number: str) -> ModelSettings:
    return SETTINGS._replace(hyperparameters=(("epochs", "5"), ("units", number)))


def test_the_best_mean_over_seeds_comes_first() -> None:
    # A name is there to be copied, so it is not cut.
    name = "feature/" + "x" * 200
    board = leaderboard(
        [
            model("main", 0.8),
            model("lucky", 0.97, units("300")),
            model("unlucky", 0.91, units("300")),
            model(name, 0.95, units("1" * 50)),
            model("unvalidated", None),
        ]
    )
    assert board[:6] == [
        # Values that all rows have in common are in the title.
        "Validation accuracy, dataset mnist, epochs 5",
        "",
        "model          units  accuracy     std  seeds  vs. best       best run",
        f"hidden  111111111...    0.9500       -      1  best           {name}",
        "hidden           300    0.9400  0.0424      2  too few seeds  lucky",
        "hidden           100    0.8000       -      1  too few seeds  main",
    ]
    with pytest.raises(UserError, match="no run has validation metrics"):
        leaderboard([model("unvalidated", None)])


def test_the_verdicts_are_corrected_for_the_number_of_rows() -> None:
    # Alone, p = 0.044; as one of four rows, four times that.
    best, other = [0.980, 0.982, 0.984], [0.976, 0.978, 0.979]
    assert vs_best([best, other]) == ["best", "worse"]
    assert vs_best([best, *[other] * 4]) == ["best", *["no clear difference"] * 4]
    # A row with too few seeds is not compared, so it does not count.
    assert vs_best([best, [0.97], other]) == ["best", "too few seeds", "worse"]
    assert vs_best([best[:2], other]) == ["best", "too few seeds"]


def test_only_models_with_the_same_validation_images_share_a_table() -> None:
    board = leaderboard([model("main", 0.8), model("other", 0.99, FASHION)])
    first, second = "\n".join(board).split("\n\nValidation accuracy, ")
    assert "mnist" in first and "other" not in first
    assert second.startswith("dataset fashion") and "other" in second


def test_code_is_named_where_it_tells_rows_apart() -> None:
    one = [model("main", 0.8), model("main", 0.9, SETTINGS._replace(model="linear", code="012345"))]
    assert "code" not in " ".join(leaderboard(one))
    two = " ".join(leaderboard([*one, model("tanh", 0.81, SETTINGS._replace(code="fedcba"))]))
    assert "hidden, code abcd" in two and "hidden, code fedc" in two
