"""`make leaderboard`: the models of all branches, tags, commits and experiments, best first.

They are ranked by validation accuracy: picking the best test accuracy of many would reward luck.
Models whose settings differ in the seeds alone share a row.
"""

from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import tabulate
from dvc.repo import Repo

from digits.metrics import SIGNIFICANCE
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import sanitize, shorten, wrap
from revisions import runs
from revisions.runs import Model, ModelSettings
from revisions.verdicts import MIN_SEEDS, vs_best

MAX_CELL = 12
LEGEND = (
    f"vs. best: Tukey's test of all rows with {MIN_SEEDS} seeds or more, in which at most "
    f"{100 * SIGNIFICANCE:g}% of tables call any of equally good settings worse."
)
# This saves two characters of width per column.
tabulate.MIN_PADDING = 0
QUEUE = Path(".dvc/tmp/exps/celery")


class Row(NamedTuple):
    """Models of the same settings on the same validation images, and a verdict."""

    settings: ModelSettings
    models: list[Model]  # the most accurate one first
    verdict: str

    @property
    def accuracies(self) -> list[float]:
        return [model.accuracies["validation"] for model in self.models]


class Table(NamedTuple):
    """Rows on the same validation images: those with enough seeds first, each part best first."""

    rows: list[Row]
    optimism: float  # how much the best mean is too high, if all rows are equally good

    @property
    def ranked(self) -> list[Row]:
        return [row for row in self.rows if len(row.models) >= MIN_SEEDS]


def tables(models: Iterable[Model]) -> list[Table]:
    """Return a table for each set of validation images; accuracies compare only within one."""
    by_images: dict[str, dict[ModelSettings, list[Model]]] = {}
    for model in models:
        if "validation" in model.accuracies:
            groups = by_images.setdefault(model.validation_images, {})
            groups.setdefault(model.settings, []).append(model)
    result = []
    for groups in by_images.values():
        rows = [
            Row(key, sorted(group, key=lambda model: -model.accuracies["validation"]), "")
            for key, group in groups.items()
        ]
        rows.sort(key=lambda row: (len(row.models) < MIN_SEEDS, -mean(row.accuracies)))
        names = [row.settings.model for row in rows]
        verdicts, optimism = vs_best([row.accuracies for row in rows], names)
        pairs = zip(rows, verdicts, strict=True)
        result.append(Table([row._replace(verdict=verdict) for row, verdict in pairs], optimism))
    return result


def leaderboard(models: Iterable[Model]) -> list[str]:
    """Return the lines of all tables. Raises UserError if no model was validated."""
    text = []
    for table in tables(models):
        items = [{*row.settings.data, *row.settings.hyperparameters} for row in table.rows]
        common = set.intersection(*items)
        title = [f"{key} {shorten(value, MAX_CELL)}" for key, value in sorted(common)]
        text += [f"Validation accuracy, {', '.join(title)}", "", *_lines(table, common), ""]
        if len(table.ranked) > 1:
            too_high = f"{100 * table.optimism:.2f} points too high"
            too_high = f"{100 * table.optimism:.2f} points"
            text += [
                f"The best of {len(table.ranked)} is optimistic, by up to {too_high}: at the end, "
                "test it once: make compare REV=... SPLIT=test",
                LEGEND,
                "",
            ]
    if not text:
        raise UserError(
            "no run has validation metrics: set prepare.validation_size above 0 and run dvc repro"
        )
    return text[:-1]


def _lines(table: Table, common: set[tuple[str, str]]) -> list[str]:
    """Return the lines of a table, without what all rows have in common."""
    values = [dict(row.settings.data + row.settings.hyperparameters) for row in table.rows]
    differing = (item for items in values for item in items.items() if item not in common)
    keys = dict.fromkeys(key for key, _ in differing)
    # Code is named only where it tells models apart.
    codes = {(row.settings.model, row.settings.code) for row in table.rows}
    one_code = len(codes) == len({row.settings.model for row in table.rows})
    lines = [["model", *keys, "accuracy", "std", "seeds", "vs. best", "best run"]]
    for row, items in zip(table.rows, values, strict=True):
        name, code = row.settings.model, row.settings.code[:4]
        lines.append(
            [
                name if one_code else f"{name}, code {code}",
                *(shorten(items.get(key, "-"), MAX_CELL) for key in keys),
                f"{mean(row.accuracies):.4f}",
                f"{stdev(row.accuracies):.4f}" if len(row.models) > 1 else "-",
                str(len(row.models)),
                row.verdict,
                row.models[0].revision.name,
            ]
        )
    alignment = ["left", *["right"] * (len(lines[0]) - 3), "left", "left"]
    text = tabulate.tabulate(
        lines, "firstrow", tablefmt="plain", disable_numparse=True, colalign=alignment
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
