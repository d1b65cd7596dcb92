"""`make runs`: all runs of `make leaderboard` on one self-contained page, runs/index.html."""

import hashlib
import io
import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from statistics import mean, mode, stdev
from typing import Any

import numpy as np

from digits.metrics import SIGNIFICANCE
from digits.plumbing import paths
from digits.plumbing.stage import run_main
from revisions import files, leaderboard, pages, runs
from revisions.leaderboard import Row, Table
from revisions.runs import Model
from revisions.verdicts import MIN_SEEDS

PAGE = Path("runs/index.html")
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
    tables, curves = leaderboard.tables(models), _curves(models)
    names = Counter(revision.name for revision in files.references())
    remote = files.git("config", "--default", "", "--get", "remote.origin.url")
    pages.write(
        PAGE,
        f"{len(models):,} models",
        "runs.html",
        tables=tables,
        charts=[_charts(table, curves, names) for table in tables],
        commits=_commits(models),
        site=commits_site(remote.strip()),
        left_out=left_out,
        board=leaderboard,
        identify=_identify,
        min_seeds=MIN_SEEDS,
    )


def commits_site(remote: str) -> str:
    """Return the address below which a web host shows the commits of a Git remote, or ""."""
    known = REMOTE.fullmatch(remote)
    return f"https://{known[1]}/{known[2]}/{HOSTS[known[1]]}/" if known else ""


def _charts(
    table: Table, curves: Mapping[str, np.ndarray], names: Mapping[str, int]
) -> dict[str, Any]:
    """Return what a table's charts show; `names` counts the revisions of each name."""
    values = table.values
    keys = sorted(table.differing, key=lambda key: -len(values[key]))
    usual = {key: mode(row.parameters.get(key) for row in table.rows) for key in keys}
    rows = []
    for row in table.rows:
        name, commit = row.models[0].revision
        own = {key: row.parameters[key] for key in keys if key in row.parameters}
        unusual = [f"{key} {value}" for key, value in own.items() if value != usual[key]]
        # The statistics after each epoch are those of the runs that reached it.
        epochs = zip_longest(*(curves.get(model.history, ()) for model in row.models))
        reached = ([value for value in values if value is not None] for values in epochs)
        drawn = {
            "id": _identify(row),
            "row": ", ".join([row.name, *unusual]),
            "model": row.settings.model,
            "values": own,
            "verdict": row.verdict,
            "run": name,
            # Of several with the same name, a command needs the commit.
            "rev": shlex.quote(name if names[name] == 1 else commit[:10]),
            "curve": list(map(_statistics, reached)),
        }
        rows.append(drawn | _statistics(row.accuracies))
    return {"parameters": keys, "rows": rows}


def _identify(row: Row) -> str:
    """Return a name that a row keeps when runs are added, for the address of a view."""
    text = repr((row.settings, row.models[0].validation_images))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _commits(models: Sequence[Model]) -> dict[str, list[str]]:
    """Return the date and the author of the models' commits."""
    wanted = "".join(f"{model.revision.commit}\n" for model in models)
    show = ("--format=%H%x00%cd%x00%an", "--date=format:%Y-%m-%d %H:%M")
    log = files.git("log", "--no-walk", "--stdin", *show, stdin=wanted)
    return {line[:40]: line.split("\0")[1:] for line in log.split("\n") if line}


def _curves(models: Sequence[Model]) -> dict[str, np.ndarray]:
    """Return the validation accuracy by epoch, float64 (epochs,), of each history, by its MD5."""
    wanted = {model.history: model for model in models}
    contents = files.blobs(
        (model.revision.commit, paths.history(model.settings.model)) for model in wanted.values()
    )
    curves = {}
    for md5, content in zip(wanted, contents, strict=True):
        if files.md5_of(content) == md5:
            with suppress(ValueError, LookupError):
                rows = np.genfromtxt(io.BytesIO(content), delimiter=",", names=True, ndmin=1)
                if np.isfinite(rows["val_accuracy"]).all():
                    curves[md5] = rows["val_accuracy"]
    return curves


def _statistics(accuracies: Sequence[float]) -> dict[str, float]:
    """Return number, mean, the mean's 95% interval (that of t), and the standard deviation."""
    from scipy.stats import t

    count, center = len(accuracies), mean(accuracies)
    std = stdev(accuracies) if count > 1 else 0.0
    half = 0.0
    if count >= MIN_SEEDS:
        half = t.ppf(1 - SIGNIFICANCE / 2, count - 1) * std / math.sqrt(count)
    ends = {"low": center - half, "accuracy": center, "high": center + half, "std": std}
    return {"seeds": count} | {key: round(value, 5) for key, value in ends.items()}


if __name__ == "__main__":
    run_main(main)
