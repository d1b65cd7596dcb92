"""`make runs`: all runs of `make leaderboard` on one self-contained page, runs/index.html."""

import csv
import hashlib
import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from digits.metrics import SIGNIFICANCE
from digits.plumbing import paths
from digits.plumbing.files import write
from digits.plumbing.stage import run_main
from revisions import files, leaderboard, pages, runs
from revisions.leaderboard import Row, Table
from revisions.runs import Model
from revisions.verdicts import MIN_SEEDS

PAGE = Path("runs/index.html")
MAX_CELL = 40
MAX_EPOCHS = 1000
# Where web hosts show a commit of a repository.
HOSTS = {
    "github.com": "commit",
    "gitlab.com": "-/commit",
    "bitbucket.org": "commits",
    "codeberg.org": "commit",
}
# https://user:token@HOST/owner/name.git, ssh://git@HOST:22/owner/name or git@HOST:owner/name.git
REMOTE = re.compile(
    rf"(?:\w+://)?(?:[^@/]*@)?({'|'.join(map(re.escape, HOSTS))})(?::\d+(?=/))?"
    r"[:/]/?([\w.~/-]+?)(?:\.git)?/?"
)


def main() -> None:
    models, left_out = runs.models()
    page = html(models, left_out).encode()
    write(PAGE, page)
    print(f"{PAGE}: {len(models):,} runs, {len(page) / 1e6:.1f} MB")


def html(models: Sequence[Model], left_out: Mapping[str, Sequence[str]]) -> str:
    """Return the page. Raises UserError if no model was validated."""
    tables = leaderboard.tables(models)
    commits, curves = _commits(models), _curves(models)
    remote = files.git("config", "--default", "", "--get", "remote.origin.url")
    site = commits_site(remote.strip())
    names = Counter(revision.name for revision in files.references())
    return pages.render(
        "runs.html",
        tables=[_table(table, commits, site) for table in tables],
        charts=[_charts(table, curves, names) for table in tables],
        latest=max(date for date, _ in commits.values()),
        legend=leaderboard.LEGEND,
        min_seeds=MIN_SEEDS,
        left_out=left_out,
    )


def commits_site(remote: str) -> str:
    """Return the address below which a web host shows the commits of a Git remote, or ""."""
    known = REMOTE.fullmatch(remote)
    return f"https://{known[1]}/{known[2]}/{HOSTS[known[1]]}/" if known else ""


def _table(table: Table, commits: Mapping[str, tuple[str, str]], site: str) -> dict[str, Any]:
    """Return the texts of a table, and below each row those of its runs."""
    keys = table.differing

    def run(model: Model) -> dict[str, Any]:
        name, commit = model.revision
        accuracies = (f"{model.accuracies[split]:.4f}" for split in ("validation", "test"))
        return {
            "name": "" if commit.startswith(name) else name,
            "commit": commit[:7],
            "link": site and site + commit,
            "cells": [*commits[commit], *reversed(model.seeds), *accuracies],
        }

    return {
        "title": table.title,
        "remark": table.remark,
        "varied": _most_varied(table),
        "header": leaderboard.header(keys),
        # All but the model, the verdict and the run.
        "numbers": range(1, len(keys) + 4),
        "rows": [
            {
                "id": _id(row),
                "verdict": row.verdict,
                "cells": leaderboard.cells(row, keys, MAX_CELL),
                "runs": [run(model) for model in row.models],
            }
            for row in table.rows
        ],
    }


def _charts(
    table: Table, curves: Mapping[str, list[float]], names: Mapping[str, int]
) -> dict[str, Any]:
    """Return the values in a table's charts; `names` counts the revisions of each name."""
    keys = _most_varied(table)
    usual = {
        key: Counter(row.parameters.get(key) for row in table.rows).most_common(1)[0][0]
        for key in keys
    }

    def values(row: Row) -> dict[str, Any]:
        name, commit = row.models[0].revision
        own = {key: row.parameters[key] for key in keys if key in row.parameters}
        unusual = [f"{key} {value}" for key, value in own.items() if value != usual[key]]
        return {
            "id": _id(row),
            "row": ", ".join([row.name, *unusual]),
            "model": row.settings.model,
            "values": own,
            **_statistics(row),
            "verdict": row.verdict,
            "run": name,
            # Of several with the same name, a command needs the commit.
            "rev": shlex.quote(name if names[name] == 1 else commit[:10]),
            "curve": _mean_curve([curves.get(model.history, []) for model in row.models]),
        }

    return {"keys": keys, "rows": [values(row) for row in table.rows]}


def _most_varied(table: Table) -> list[str]:
    values = table.values
    return sorted(table.differing, key=lambda key: -len(values[key]))


def _id(row: Row) -> str:
    """Return a name that a row keeps when runs are added, for the address of a view."""
    text = repr((row.settings, row.models[0].validation_images))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _commits(models: Sequence[Model]) -> dict[str, tuple[str, str]]:
    """Return the date and the author of the models' commits."""
    wanted = "".join(f"{model.revision.commit}\n" for model in models)
    show = ("--format=%H%x00%cd%x00%an", "--date=format:%Y-%m-%d %H:%M")
    log = files.git("log", "--no-walk", "--stdin", *show, stdin=wanted)
    fields = (line.split("\0") for line in log.split("\n") if line)
    return {commit: (date, author) for commit, date, author in fields}


def _curves(models: Sequence[Model]) -> dict[str, list[float]]:
    """Return the validation accuracies by epoch in each history, by its MD5."""
    wanted = {model.history: model for model in models if model.history}
    contents = files.blobs(
        (model.revision.commit, paths.history(model.settings.model)) for model in wanted.values()
    )
    return {
        md5: _parse_history(content)
        for md5, content in zip(wanted, contents, strict=True)
        if files.md5_of(content) == md5
    }


def _parse_history(content: bytes) -> list[float]:
    """Return the validation accuracies by epoch; none if this is no history that has them."""
    try:
        rows = csv.DictReader(content.decode().splitlines())
        accuracies = [float(row["val_accuracy"]) for row in rows][:MAX_EPOCHS]
    except (ValueError, LookupError, TypeError, csv.Error):
        return []
    return accuracies if all(map(math.isfinite, accuracies)) else []


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return mean and standard deviation after each epoch, of the runs that reached it."""
    epochs = [[value for value in values if value is not None] for values in zip_longest(*curves)]
    return [
        (round(mean(values), 5), round(stdev(values), 5) if len(values) > 1 else 0)
        for values in epochs
    ]


def _statistics(row: Row) -> dict[str, Any]:
    """Return the mean accuracy, its 95% interval (that of t), standard deviation and number."""
    from scipy.stats import t

    count, center, half = len(row.models), mean(row.accuracies), 0.0
    result: dict[str, Any] = {"seeds": count}
    if count > 1:
        result["std"] = round(stdev(row.accuracies), 5)
    if count >= MIN_SEEDS:
        half = t.ppf(1 - SIGNIFICANCE / 2, count - 1) * stdev(row.accuracies) / math.sqrt(count)
    ends = {"low": center - half, "accuracy": center, "high": center + half}
    return result | {key: round(value, 5) for key, value in ends.items()}


if __name__ == "__main__":
    run_main(main)
