"""`make leaderboard [FORMAT=md|csv]`: the models of all branches, tags, commits and experiments.

The best validation accuracy comes first: picking the best test accuracy of many would reward luck.
Models whose settings differ in the seeds alone share a row.
"""

import csv
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import tabulate
from dvc.repo import Repo

from digits.metrics import SIGNIFICANCE
from digits.plumbing.errors import UserError, first_line
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import columns, sanitize, shorten, wrap
from revisions import files, runs
from revisions.runs import Model, ModelSettings
from revisions.verdicts import MIN_SEEDS, vs_best

STATISTICS = ("accuracy", "std", "seeds", "vs. best", "best run")
TEXTS = ("model", "vs. best", "best run")
MAX_CELL = 12
MAX_NAME = 30
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
    models: list[Model]  # the most accurate one first, of equal ones the oldest
    name: str  # of the model, with its code where that tells rows apart
    verdict: str = ""

    @property
    def accuracies(self) -> list[float]:
        return [model.accuracies["validation"] for model in self.models]

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.settings.data + self.settings.hyperparameters)

    def cells(self, keys: Iterable[str], longest: int) -> list[str]:
        """Return the texts of the columns: the name, these parameters, and STATISTICS."""
        texts = [
            shorten(self.name, max(longest, MAX_NAME)),
            *(shorten(self.parameters.get(key, "-"), longest) for key in keys),
            f"{mean(self.accuracies):.4f}",
            f"{stdev(self.accuracies):.4f}" if len(self.models) > 1 else "-",
            str(len(self.models)),
            self.verdict,
            self.models[0].revision.name,
        ]
        return list(map(sanitize, texts))


class Table(NamedTuple):
    """Rows on the same validation images: those with enough seeds first, each part best first."""

    rows: list[Row]
    optimism: float  # how much the best mean is too high, if all rows are equally good

    @property
    def values(self) -> dict[str, set[str]]:
        """The values of each parameter, in the rows whose models have it."""
        values: dict[str, set[str]] = {}
        for key, value in (item for row in self.rows for item in row.parameters.items()):
            values.setdefault(key, set()).add(value)
        return values

    @property
    def differing(self) -> list[str]:
        return [key for key, values in self.values.items() if len(values) > 1]

    @property
    def title(self) -> str:
        """All other parameters."""
        common = ((key, *values) for key, values in sorted(self.values.items()) if len(values) == 1)
        return ", ".join(f"{key} {shorten(value, MAX_CELL)}" for key, value in common)

    @property
    def remark(self) -> str:
        """What to keep in mind, or ""."""
        ranked = sum(len(row.models) >= MIN_SEEDS for row in self.rows)
        text = f"The best of {ranked} is optimistic, by up to {100 * self.optimism:.2f} points: "
        once = "at the end, test it once: make compare REV=... SPLIT=test"
        return text + once if ranked > 1 else ""

    def grid(self, keys: Sequence[str], longest: int = files.MAX_BYTES) -> list[list[str]]:
        """Return a header and each row's texts; a parameter has at most `longest` characters."""
        return [["model", *keys, *STATISTICS], *(row.cells(keys, longest) for row in self.rows)]


def tables(models: Iterable[Model]) -> list[Table]:
    """Return a table for each set of validation images; accuracies compare only within one.

    The newest models come first. Raises UserError if no model was validated.
    """
    by_images: dict[str, dict[ModelSettings, list[Model]]] = {}
    for model in models:
        if "validation" in model.accuracies:
            groups = by_images.setdefault(model.validation_images, {})
            groups.setdefault(model.settings, []).append(model)
    if not by_images:
        raise UserError(
            "no run has validation metrics: set prepare.validation_size above 0, run dvc repro, "
            "then commit"
        )
    result = []
    for groups in by_images.values():
        codes = Counter(model for model, _ in {(key.model, key.code) for key in groups})
        rows = [
            Row(
                key,
                sorted(group, key=lambda model: model.accuracies["validation"])[::-1],
                key.model if codes[key.model] == 1 else f"{key.model}, code {key.code[:4]}",
            )
            for key, group in groups.items()
        ]
        rows.sort(key=lambda row: (len(row.models) < MIN_SEEDS, -mean(row.accuracies)))
        names = [row.settings.model for row in rows]
        verdicts, optimism = vs_best([row.accuracies for row in rows], names)
        pairs = zip(rows, verdicts, strict=True)
        result.append(Table([row._replace(verdict=verdict) for row, verdict in pairs], optimism))
    return result


def leaderboard(models: Iterable[Model]) -> list[str]:
    """Return the lines of all tables; only below a table, some are wider than the terminal."""
    text = []
    for table in tables(models):
        text += [f"Validation accuracy, {table.title}", "", *_lines(table), ""]
        text += [table.remark, LEGEND, ""] if table.remark else []
    return text[:-1]


def _lines(table: Table) -> list[str]:
    keys = table.differing
    lines = table.grid(keys, MAX_CELL)
    last = len(lines[0]) - 1
    # Where the terminal is too narrow, the run stands below its row, then the parameters, too.
    for below in [], [last], [*range(1, len(keys) + 1), last]:
        beside = [[cell for at, cell in enumerate(line) if at not in below] for line in lines]
        sides = ["left" if name in TEXTS else "right" for name in beside[0]]
        grid = tabulate.tabulate(beside, "firstrow", "plain", disable_numparse=True, colalign=sides)
        text = [line.rstrip() for line in grid.splitlines()]
        if max(map(len, text)) <= columns():
            break
    for number, line in enumerate(lines[1:] if below else [], start=1):
        items = [f"{lines[0][at]} {line[at]}" for at in below if line[at] != "-"]
        text[number] += f"\n  {', '.join(items)}"
    return "\n".join(text).split("\n")


def as_csv(models: Iterable[Model]) -> list[str]:
    """Return the lines of a CSV file: all rows with all parameters."""
    table = Table([row for table in tables(models) for row in table.rows], optimism=0)
    content = io.StringIO()
    csv.writer(content).writerows(table.grid(sorted(table.values)))
    return content.getvalue().splitlines()


def as_markdown(models: Iterable[Model]) -> list[str]:
    """Return the lines of all tables in Markdown."""
    text = []
    for table in tables(models):
        lines = table.grid(table.differing)
        escaped = [[re.sub(r"([\\|`*_\[<>&])", r"\\\1", cell) for cell in line] for line in lines]
        grid = tabulate.tabulate(escaped, "firstrow", tablefmt="pipe", disable_numparse=True)
        text += [f"Validation accuracy, {table.title}", "", *grid.splitlines(), ""]
    return text[:-1]


FORMATS = {"": leaderboard, "csv": as_csv, "md": as_markdown}


def main() -> None:
    form = os.environ.get("FORMAT", "")
    if form not in FORMATS:
        raise UserError(f"FORMAT is {form!r}; must be csv or md")
    models, left_out = runs.models()
    lines = FORMATS[form](models)
    notes = [f"skipped {', '.join(names)}: {reason}" for reason, names in left_out.items()]
    if QUEUE.is_dir():
        try:
            with Repo() as repo:
                queue = repo.experiments.celery_queue
                waiting, running = len(list(queue.iter_queued())), len(list(queue.iter_active()))
            notes.append(f"DVC's queue: {waiting} waiting, {running} running")
        except Exception as error:
            # DVC raises several kinds for a damaged file.
            notes.append(f"DVC's queue cannot be read ({first_line(error)})")
    print(*map(sanitize, lines if form else wrap(lines)), sep="\n")
    # The file of a table holds nothing else.
    if notes:
        print(*map(sanitize, wrap(notes)), sep="\n", file=sys.stderr if form else sys.stdout)


if __name__ == "__main__":
    run_main(main)
