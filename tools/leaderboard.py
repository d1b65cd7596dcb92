"""`make leaderboard`: the models of all branches, tags, commits and experiments, best first.

They are ranked by validation accuracy: whoever picks the best of many by test accuracy has fitted
the choice to the test images. Models whose settings differ in the seeds alone share a row.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from digits import comparison, paths
from digits.comparison import FEWEST_SEEDS, SIGNIFICANCE
from digits.errors import UserError
from digits.run import run_main
from tools import runs
from tools.runs import Model, Settings

NOTHING = "-"
LONGEST_CELL = 20
BEST, WORSE, UNCLEAR, TOO_FEW = "best", "worse", "not told apart", "too few seeds"
LEGEND = f"""\
{UNCLEAR}: no evidence of a difference from the best (Welch's t-test over seeds, corrected
for the number of rows by Holm's method). {TOO_FEW}: it takes {FEWEST_SEEDS} on either side."""


class Row(NamedTuple):
    """Settings, and the models that were trained with them, one for each seed."""

    settings: Settings
    models: list[Model]

    @property
    def accuracies(self) -> list[float]:
        """On the validation images."""
        return [model.validation for model in self.models if model.validation is not None]

    @property
    def mean(self) -> float:
        return statistics.mean(self.accuracies)


def leaderboard(models: Iterable[Model]) -> str:
    """A table for each set of validation images; only within one are accuracies comparable.

    Raises UserError if nothing has been validated.
    """
    groups: dict[Settings, Row] = {}
    for model in models:
        if model.validation is not None:
            groups.setdefault(model.settings, Row(model.settings, [])).models.append(model)
    if not groups:
        raise UserError(
            "no run here has a validation accuracy: run `dvc repro` or `dvc exp run`, with "
            "prepare.validation_size above 0"
        )
    text = []
    for data in dict.fromkeys(settings.data for settings in groups):
        title = ", ".join(f"{key} {_shorten(value)}" for key, value in data)
        rows = [row for row in groups.values() if row.settings.data == data]
        ranked = sorted(rows, key=lambda row: -row.mean)
        text.append(f"Validation accuracy, {title}\n\n{_aligned(_table(ranked))}\n")
    return "\n".join([*text, LEGEND])


def against_best(samples: Sequence[Sequence[float]]) -> list[str]:
    """How each sample of accuracies compares with the first, which has the best mean."""
    best, *others = samples
    tested = [min(len(best), len(other)) >= FEWEST_SEEDS for other in others]
    p_values = [
        comparison.welch(best, other).p
        for other, enough in zip(others, tested, strict=True)
        if enough
    ]
    corrected = iter(comparison.holm(p_values))
    return [
        BEST,
        *(
            TOO_FEW if not enough else WORSE if next(corrected) < SIGNIFICANCE else UNCLEAR
            for enough in tested
        ),
    ]


def _table(ranked: Sequence[Row]) -> list[list[str]]:
    """A header and the rows, as text."""
    keys = list(dict.fromkeys(key for row in ranked for key, _ in row.settings.hyperparameters))
    table = [["model", *keys, "accuracy", "std", "seeds", "against best", "best run"]]
    # Code is named only where it tells models apart.
    one_code = len({(row.settings.kind, row.settings.code) for row in ranked}) <= len(paths.MODELS)
    marks = against_best([row.accuracies for row in ranked])
    for row, mark in zip(ranked, marks, strict=True):
        kind, _, hyperparameters, code = row.settings
        values = dict(hyperparameters)
        many = len(row.models) > 1
        table.append(
            [
                kind if one_code else f"{kind}, code {code[:4]}",
                *(values.get(key, NOTHING) for key in keys),
                f"{row.mean:.4f}",
                f"{statistics.stdev(row.accuracies):.4f}" if many else NOTHING,
                str(len(row.models)),
                mark,
                max(row.models, key=lambda model: model.validation or 0).run,
            ]
        )
    return table


def _aligned(table: list[list[str]]) -> str:
    """Columns side by side, all but the first and the last two to the right.

    Cells are shortened, but not the run's name in the last: `dvc exp apply` needs the whole of it.
    """
    short = [[*map(_shorten, row[:-1]), row[-1]] for row in table]
    widths = [max(map(len, column)) for column in zip(*short, strict=True)]
    sides = ["<", *[">"] * (len(widths) - 3), "<", "<"]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in short
    )


def _shorten(cell: str) -> str:
    return cell if len(cell) <= LONGEST_CELL else f"{cell[: LONGEST_CELL - 3]}..."


def main() -> None:
    print(leaderboard(runs.models()))


if __name__ == "__main__":
    run_main(main)
