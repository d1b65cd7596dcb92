"""`make leaderboard`: the models of all branches, tags, commits and experiments, best first.

They are ranked by validation accuracy: picking the best test accuracy of many would reward luck.
Models whose settings differ in the seeds alone share a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import tabulate
from dvc.repo import Repo

from digits.metrics import holm
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import sanitize, shorten, wrap
from revisions import runs
from revisions.runs import Model, ModelSettings
from revisions.verdicts import MIN_SEEDS, SIGNIFICANCE, welch

MAX_CELL = 12
LEGEND = (
    f"vs. best: Welch's t-test over seeds, corrected for the number of rows by Holm's method; each "
    f"side needs {MIN_SEEDS} seeds"
)
# This saves two characters of width per column.
tabulate.MIN_PADDING = 0
QUEUE = Path(".dvc/tmp/exps/celery")


def leaderboard(models: Iterable[Model]) -> list[str]:
    """Return a table for each set of validation images; accuracies compare only within one."""
    tables: dict[tuple[tuple[str, str], ...], dict[ModelSettings, list[Model]]] = {}
    for model in models:
        if model.validation is not None:
            rows = tables.setdefault(model.settings.data, {})
            rows.setdefault(model.settings, []).append(model)
    if not tables:
        raise UserError(
            "no run has validation metrics: set prepare.validation_size above 0 and run dvc repro"
        )
    text = []
    for data, rows in tables.items():
        common = set.intersection(*(set(settings.hyperparameters) for settings in rows))
        title = [f"{key} {shorten(value, MAX_CELL)}" for key, value in (*data, *sorted(common))]
        text += [f"Validation accuracy, {', '.join(title)}", "", *_table(rows, common), ""]
    return [*text, LEGEND]


def vs_best(samples: Sequence[Sequence[float]]) -> list[str]:
    """Say how each sample of accuracies compares with the first, which has the best mean."""
    best, *others = samples
    marks = ["best", *["too few seeds"] * len(others)]
    tested = [row for row, other in enumerate(others, 1) if min(len(best), len(other)) >= MIN_SEEDS]
    p_values = holm([welch(best, samples[row]).p for row in tested])
    for row, p in zip(tested, p_values, strict=True):
        marks[row] = "worse" if p < SIGNIFICANCE else "no clear difference"
    return marks


def _table(rows: Mapping[ModelSettings, list[Model]], common: set[tuple[str, str]]) -> list[str]:
    """Return the lines of a table, without the hyperparameters that all rows have in common."""
    items = (item for settings in rows for item in settings.hyperparameters)
    keys = dict.fromkeys(key for key, value in items if (key, value) not in common)
    # Code is named only where it tells models apart.
    one_code = len({(row.model, row.code) for row in rows}) == len({row.model for row in rows})
    samples = {row: [model.validation or 0.0 for model in rows[row]] for row in rows}
    ranked = sorted(rows, key=lambda row: -mean(samples[row]))
    table = [["model", *keys, "accuracy", "std", "seeds", "vs. best", "best run"]]
    for row, mark in zip(ranked, vs_best([samples[row] for row in ranked]), strict=True):
        sample, values = samples[row], dict(row.hyperparameters)
        table.append(
            [
                row.model if one_code else f"{row.model}, code {row.code[:4]}",
                *(shorten(values.get(key, "-"), MAX_CELL) for key in keys),
                f"{mean(sample):.4f}",
                f"{stdev(sample):.4f}" if len(sample) > 1 else "-",
                str(len(sample)),
                mark,
                rows[row][sample.index(max(sample))].run,
            ]
        )
    alignment = ["left", *["right"] * (len(table[0]) - 3), "left", "left"]
    text = tabulate.tabulate(
        table, "firstrow", tablefmt="plain", disable_numparse=True, colalign=alignment
    )
    return [line.rstrip() for line in text.splitlines()]


def main() -> None:
    models, left_out = runs.models()
    lines = leaderboard(models)
    lines += [f"skipped {', '.join(names)}: {reason}" for reason, names in left_out.items()]
    if QUEUE.is_dir():
        with Repo() as repo:
            queue = repo.experiments.celery_queue
            waiting, running = len(list(queue.iter_queued())), len(list(queue.iter_active()))
        lines.append(f"DVC's queue: {waiting} waiting, {running} running")
    print(*map(sanitize, wrap(lines)), sep="\n")


if __name__ == "__main__":
    run_main(main)
