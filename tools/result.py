"""`make result`: the results of the last run in a few lines."""

import shlex
from collections.abc import Iterator

import tabulate

from digits import formats, paths
from digits.stage import run_main
from digits.text import printable, wrapped
from tools import history
from tools.history import LOCK, WORKSPACE, Revision
from tools.statistics import Difference, difference, verdict


def result() -> Iterator[str]:
    """The lines. Raises UserError where a file is missing or not that of the last run."""
    workspace = history.find(WORKSPACE)
    details, comparisons = (
        formats.parse_json(history.read(workspace, path), str(path))
        for path in (paths.DETAILS, paths.COMPARISON)
    )
    test = [entry for entry in details if entry["split"] == "test"]
    names = [key for key in test[0] if key not in ("model", "split")]
    title = f"{history.lock(workspace).parameters['prepare.dataset']}, test images"
    table = [[entry["model"], *(entry[name] for name in names)] for entry in test]
    header = [title, *(name.replace("_", " ") for name in names)]
    yield from tabulate.tabulate(table, header, tablefmt="plain", floatfmt=".4f").splitlines()
    for entry in comparisons:
        model, baseline = entry["model"], entry["baseline"]
        interval = entry["accuracy_gain_ci95_low"], entry["accuracy_gain_ci95_high"]
        found = Difference(entry["accuracy_gain"], interval, entry["mcnemar_p"])
        yield f"{model} vs. {baseline}: {difference(found)}; McNemar's exact test:"
        yield f"  {verdict(found, baseline, model, 'models')}"
    changed = history.unrun(workspace)
    if changed:
        yield f"changed since this run: {changed}; to run it: dvc repro"
    other = _other_run(workspace)
    compare = f"; to compare: make compare REV={shlex.quote(other)}" if other else ""
    yield f"figures: {paths.FIGURES}/{compare}"


def _other_run(workspace: Revision) -> str | None:
    """The name of another revision that was run, if there is one."""
    commits = {workspace.commit: "HEAD"} | history.tips()
    locks = history.blobs([(commit, LOCK) for commit in commits])
    here = LOCK.read_bytes()
    runs = (
        name for name, lock in zip(commits.values(), locks, strict=True) if lock not in (b"", here)
    )
    return next(runs, None)


def main() -> None:
    print(*map(printable, wrapped(result())), sep="\n")


if __name__ == "__main__":
    run_main(main)
