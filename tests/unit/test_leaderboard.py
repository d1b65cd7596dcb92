"""The leaderboard of given models; tests/unit/test_runs.py finds them."""

import csv

import pytest

from digits.plumbing.errors import UserError
from revisions.files import Revision
from revisions.leaderboard import as_csv, as_markdown, leaderboard
from revisions.runs import Model, ModelSettings

SETTINGS = ModelSettings(
    "second", (("dataset", "mnist"),), (("epochs", "5"), ("units", "100")), "abcdef"
)
FASHION = SETTINGS._replace(data=(("dataset", "fashion"),))


def model(
    run: str, validation: float | None, settings: ModelSettings = SETTINGS, images: str = "one"
) -> Model:
    """A model; the better its validation accuracy, the worse its test accuracy."""
    accuracies = {"test": 1 - (validation or 0)}
    accuracies |= {"validation": validation} if validation else {}
    return Model(settings, ("1", run), Revision(run, "1234567"), accuracies, images)


def units(number: str) -> ModelSettings:
    return SETTINGS._replace(hyperparameters=(("epochs", "5"), ("units", number)))


def test_rows_with_enough_seeds_are_ranked_and_the_others_stand_below() -> None:
    board = leaderboard(
        [
            *(model(f"main-{seed}", 0.8 + seed / 1000) for seed in range(3)),
            model("lucky", 0.97, units("300")),
            *(model(f"deep-{seed}", 0.9 + seed / 1000, units("500")) for seed in range(3)),
            model("unlucky", 0.91, units("300")),
            model("wide", 0.95, units("1" * 50)),
            model("unvalidated", None),
        ]
    )
    assert board[:7] == [
        # Values that all rows have in common are in the title.
        "Validation accuracy, dataset mnist, epochs 5",
        "",
        "model          units  accuracy     std  seeds  vs. best       best run",
        "second           500    0.9010  0.0010      3  best           deep-2",
        "second           100    0.8010  0.0010      3  worse          main-2",
        "second  111111111...    0.9500       -      1  too few seeds  wide",
        "second           300    0.9400  0.0424      2  too few seeds  lucky",
    ]
    # The mean of the larger of two standard normal deviates is 0.56: 0.56 * 0.001 / sqrt(3).
    assert board[8].startswith("The best of 2 is optimistic, by up to 0.03 points: ")
    with pytest.raises(UserError, match="no run has validation metrics"):
        leaderboard([model("unvalidated", None)])


def test_columns_are_the_parameters_that_differ_and_ties_name_the_oldest() -> None:
    linear = SETTINGS._replace(model="linear", hyperparameters=(("epochs", "7"),))
    runs = [model("new", 0.9), model("old", 0.9), model("linear", 0.8, linear)]
    board = leaderboard(runs)
    assert board[0] == "Validation accuracy, dataset mnist, units 100"
    assert board[2].split()[:3] == ["model", "epochs", "accuracy"]
    assert board[3].endswith("  old")


def test_no_table_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    # A name is there to be copied, so it is not cut.
    name = "origin/" + "x" * 200
    for count in range(1, 9):
        pairs = (tuple((f"parameter_{n}", f"{value}" * 9) for n in range(count)) for value in "12")
        first, second = (SETTINGS._replace(hyperparameters=pair) for pair in pairs)
        other = second._replace(model="convolutional")
        board = leaderboard(
            [model(name, 0.9, first), model("b", 0.8, second), model("c", 1, other)]
        )
        grid = [line for line in board[2:] if not line.startswith("  ")]
        assert len(grid) == 4 and max(map(len, grid)) <= 80
        below = [line for line in board if line.endswith(f"best run {name}")]
        assert len(below) == 1 and "parameter_0" in grid[0] + below[0]


def test_other_formats_have_everything_and_escape_it() -> None:
    name = 'a|<b>,"'
    runs = [model(name, 0.9, units("1" * 50)), model("main", 0.8, FASHION, "two")]
    runs.append(model("seed", 0.95, images="three"))
    rows = [*csv.DictReader(as_csv(runs))]
    assert [row["best run"] for row in rows] == [name, "main", "seed"]
    assert [row["dataset"] for row in rows] == ["mnist", "fashion", "mnist"]
    assert rows[0]["units"] == "1" * 50 and rows[0]["accuracy"] == "0.9000"
    text = "\n".join(as_markdown(runs))
    # Only models with the same validation images share a table.
    assert r'| a\|\<b\>,"' in text and text.count("| model ") == 3


def test_code_is_named_where_it_tells_rows_apart() -> None:
    one = [model("main", 0.8), model("main", 0.9, SETTINGS._replace(model="linear", code="012345"))]
    assert "code" not in " ".join(leaderboard(one))
    two = " ".join(leaderboard([*one, model("tanh", 0.81, SETTINGS._replace(code="fedcba"))]))
    assert "second, code abcd" in two and "second, code fedc" in two
