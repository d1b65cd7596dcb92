"""`make leaderboard`: the models of all experiments on HEAD, best validation accuracy first.

    python -m tools.leaderboard [options of `dvc exp show`, such as --all-branches]

By validation accuracy, since whoever picks the best of many by test accuracy has fitted the choice
to the test images, and their score then flatters it.
"""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from stages.lib import params, paths
from stages.lib.errors import UserError, report

SEED = "seed"
NOTHING = "-"


class Model(NamedTuple):
    """A trained model, which many experiments may share; settings and seeds made it."""

    kind: str
    data: tuple[tuple[str, Any], ...]
    settings: tuple[tuple[str, Any], ...]
    seeds: tuple[int, int]


class Score(NamedTuple):
    """Validation accuracy of a model, and the first experiment that has it."""

    accuracy: float
    experiment: str


def experiments(shown: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Name, parameters and metrics of each finished run that `dvc exp show --json` lists.

    The workspace is left out: its parameters may have been changed since its metrics were made.
    """
    for baseline in shown:
        if baseline["rev"] == "workspace":
            continue
        revisions = [baseline, *(run["revs"][0] for run in baseline.get("experiments") or [])]
        for revision in revisions:
            files = {
                path: file.get("data")
                for kind in ("params", "metrics")
                for path, file in ((revision.get("data") or {}).get(kind) or {}).items()
            }
            values = files.pop(str(params.PATH), None)
            if values and files:
                yield revision["name"] or revision["rev"][:7], values, files


def models(shown: list[dict[str, Any]]) -> dict[Model, Score]:
    """Each model once, whatever number of experiments it was part of."""
    found: dict[Model, Score] = {}
    for name, values, metrics in experiments(shown):
        for kind in paths.MODELS:
            accuracy = (
                (metrics.get(str(paths.scores(kind))) or {}).get("validation", {}).get("accuracy")
            )
            group = values.get(f"train_{kind}")
            if accuracy is None or not group:
                continue
            prepare = dict(values["prepare"])
            settings = {key: value for key, value in group.items() if key != SEED}
            seeds = (prepare.pop(SEED), group[SEED])
            key = Model(kind, tuple(prepare.items()), tuple(settings.items()), seeds)
            found.setdefault(key, Score(accuracy, name))
    return found


def rows(scores: dict[Model, Score]) -> list[list[str]]:
    """A row for each kind and its settings, over all seeds; the best mean first."""
    groups: dict[tuple[str, tuple[tuple[str, Any], ...]], list[Score]] = defaultdict(list)
    for model, score in scores.items():
        groups[model.kind, model.settings].append(score)
    columns = list(dict.fromkeys(key for _, settings in groups for key, _ in settings))
    ranked = sorted(groups.items(), key=lambda group: -_mean(group[1]))
    table = [["model", *columns, "accuracy", "deviation", "seeds", "best experiment"]]
    for (kind, settings), same in ranked:
        values = [str(dict(settings).get(column, NOTHING)) for column in columns]
        deviation = (
            f"{statistics.stdev(score.accuracy for score in same):.4f}"
            if len(same) > 1
            else NOTHING
        )
        best = max(same).experiment
        table.append([kind, *values, f"{_mean(same):.4f}", deviation, str(len(same)), best])
    return table


def _mean(scores: list[Score]) -> float:
    return statistics.mean(score.accuracy for score in scores)


def aligned(table: list[list[str]]) -> str:
    """Columns side by side, all but the first and the last to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<", *[">"] * (len(widths) - 2), "<"]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in table
    )


def leaderboard(shown: list[dict[str, Any]]) -> str:
    """A table for each set of validation images; only within one are accuracies comparable.

    Raises UserError if nothing has been validated.
    """
    scores = models(shown)
    tables = []
    for data in dict.fromkeys(model.data for model in scores):
        title = ", ".join(f"{key} {value}" for key, value in data)
        same = {model: score for model, score in scores.items() if model.data == data}
        tables.append(f"Validation accuracy, {title}\n\n{aligned(rows(same))}")
    if not tables:
        raise UserError(
            "no run here has a validation accuracy: run `dvc repro` or `dvc exp run`, with "
            "prepare.validation_size above 0"
        )
    return "\n\n".join(tables)


def exp_show(options: Iterable[str]) -> list[dict[str, Any]]:
    """What `dvc exp show --json` prints. Raises UserError where DVC reports an error."""
    done = subprocess.run(
        ["dvc", "exp", "show", "--json", *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"dvc exp show: {done.stderr.strip().splitlines()[0]}")
    shown: list[dict[str, Any]] = json.loads(done.stdout)
    return shown


def main() -> None:
    print(leaderboard(exp_show(sys.argv[1:])))


if __name__ == "__main__":
    report(main)
