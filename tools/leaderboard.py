"""`make leaderboard`: the models of all branches, tags, commits and experiments, best first.

They are ranked by validation accuracy: the best of many on the test images would be the luckiest.
Models whose settings differ in the seeds alone share a row.
"""

import statistics
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

import tabulate

from digits.errors import UserError
from digits.metrics import holm
from digits.stage import run_main
from digits.text import columns, printable, shorten, wrapped
from tools import history
from tools.history import Model, Settings
from tools.statistics import MIN_SEEDS, SIGNIFICANCE, welch

NOTHING = "-"
MAX_CELL = 20
# The first with which a table fits the terminal.
MAX_CELLS = (MAX_CELL, 12, 8)
MAX_UNFIT = 5
BEST, WORSE, UNCLEAR, TOO_FEW = "best", "worse", "no clear difference", "too few seeds"
LEGEND = (
    f"vs. best: Welch's t-test over seeds, corrected for the number of rows by Holm's method; each "
    f"side needs {MIN_SEEDS} seeds"
)
# Otherwise two columns wider.
tabulate.MIN_PADDING = 0
QUEUE = Path(".dvc/tmp/exps/celery")


def leaderboard(models: Iterable[Model]) -> list[str]:
    """A table for each set of validation images; only within one are accuracies comparable.

    Raises UserError if nothing has been validated.
    """
    rows: dict[Settings, list[Model]] = {}
    for model in models:
        if model.validation is not None:
            rows.setdefault(model.settings, []).append(model)
    if not rows:
        raise UserError(
            "no run here has a validation accuracy: run `dvc repro` or `dvc exp run`, with "
            "prepare.validation_size above 0"
        )
    text = []
    for data in dict.fromkeys(settings.data for settings in rows):
        table = {settings: rows[settings] for settings in rows if settings.data == data}
        common = set.intersection(*(set(settings.hyperparameters) for settings in table))
        title = [f"{key} {shorten(value, MAX_CELL)}" for key, value in (*data, *sorted(common))]
        text += [f"Validation accuracy, {', '.join(title)}", "", *_table(table, common), ""]
    return [*text, LEGEND]


def vs_best(samples: Sequence[Sequence[float]]) -> list[str]:
    """How each sample of accuracies compares with the first, which has the best mean."""
    best, *others = samples
    enough = [min(len(best), len(other)) >= MIN_SEEDS for other in others]
    tested = [other for other, many in zip(others, enough, strict=True) if many]
    p_values = iter(holm([welch(best, other).p for other in tested]))
    return [
        BEST,
        *(
            TOO_FEW if not many else WORSE if next(p_values) < SIGNIFICANCE else UNCLEAR
            for many in enough
        ),
    ]


def _table(rows: Mapping[Settings, list[Model]], common: Container[tuple[str, str]]) -> list[str]:
    """The lines of a table, without the hyperparameters that all rows have in common."""
    items = (item for settings in rows for item in settings.hyperparameters)
    keys = dict.fromkeys(key for key, value in items if (key, value) not in common)
    # Code is named only where it tells models apart.
    one_code = len({(row.model, row.code) for row in rows}) == len({row.model for row in rows})
    ranked = []
    for settings, models in rows.items():
        accuracies = [model.validation or 0.0 for model in models]
        ranked.append((statistics.mean(accuracies), accuracies, settings, models))
    ranked.sort(key=lambda row: -row[0])
    table = [["model", *keys, "accuracy", "std", "seeds", "vs. best", "best run"]]
    for row, mark in zip(ranked, vs_best([row[1] for row in ranked]), strict=True):
        mean, accuracies, (name, _, hyperparameters, code), models = row
        table.append(
            [
                name if one_code else f"{name}, code {code[:4]}",
                *(dict(hyperparameters).get(key, NOTHING) for key in keys),
                f"{mean:.4f}",
                f"{statistics.stdev(accuracies):.4f}" if len(accuracies) > 1 else NOTHING,
                str(len(accuracies)),
                mark,
                models[accuracies.index(max(accuracies))].run,
            ]
        )
    alignment = ["left", *["right"] * (len(table[0]) - 3), "left", "left"]
    for length in MAX_CELLS:
        # Not the name of a run: `dvc exp apply` needs the whole of it.
        cells = [[*(shorten(cell, length) for cell in row[:-1]), row[-1]] for row in table]
        text = tabulate.tabulate(
            cells, "firstrow", tablefmt="plain", disable_numparse=True, colalign=alignment
        )
        lines = [line.rstrip() for line in text.splitlines()]
        if max(map(len, lines)) <= columns():
            break
    return lines


def _queue() -> str:
    # Takes a second to import.
    from dvc.repo import Repo

    with Repo() as repo:
        queue = repo.experiments.celery_queue
        waiting, running = (
            len(list(found)) for found in (queue.iter_queued(), queue.iter_active())
        )
    return f"DVC's queue: {waiting} waiting, {running} running"


def main() -> None:
    models, unfit = history.runs()
    lines = leaderboard(models)
    if unfit:
        names = f"{', '.join(unfit[:MAX_UNFIT])}{', ...' if len(unfit) > MAX_UNFIT else ''}"
        lines.append(f"left out: {names}; dvc.lock or metrics do not fit this pipeline")
    if QUEUE.is_dir():
        lines.append(_queue())
    print(*map(printable, wrapped(lines)), sep="\n")


if __name__ == "__main__":
    run_main(main)
