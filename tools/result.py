"""`make result`: the results of the last run in a few lines."""

import shlex
from collections.abc import Iterator
from contextlib import suppress

import tabulate

from digits import formats, paths
from digits.errors import UserError
from digits.stage import run_main
from digits.text import printable, wrapped
from tools import history
from tools.compare import test_images
from tools.history import WORKSPACE, Revision
from tools.statistics import Difference, difference, verdict

# Other metrics follow.
FIRST = ("accuracy", "loss", "macro_f1", "calibration_error")


def result() -> Iterator[str]:
    """The lines. Raises UserError where a file is missing or not that of the last run."""
    workspace = history.find(WORKSPACE)
    details, comparisons = (
        formats.parse_json(history.read(workspace, path), str(path))
        for path in (paths.DETAILS, paths.COMPARISON)
    )
    test = [entry for entry in details if entry["split"] == "test"]
    names = [key for key in FIRST if key in test[0]]
    names += [key for key in test[0] if key not in (*FIRST, "model", "split")]
    title = f"{history.lock(workspace).parameters['prepare.dataset']}, test images"
    table = [[entry["model"], *(entry[name] for name in names)] for entry in test]
    header = [title, *(name.replace("_", " ").replace("f1", "F1") for name in names)]
    yield from tabulate.tabulate(table, header, tablefmt="plain", floatfmt=".4f").splitlines()
    for entry in comparisons:
        model, baseline = entry["model"], entry["baseline"]
        interval = entry["accuracy_gain_ci95_low"], entry["accuracy_gain_ci95_high"]
        found = Difference(entry["accuracy_gain"], interval, entry["mcnemar_p"])
        said = verdict(found, baseline, model, "models")
        yield f"{model} vs. {baseline}: {difference(found)}; {said}"
    if changed := history.unrun(workspace):
        yield f"changed since this run: {changed}; to run it: dvc repro"
    try:
        for path in history.files(workspace, str(paths.FIGURES)):
            history.read(workspace, path)
    except UserError as error:
        yield str(error)
    other = _another_run(workspace)
    hint = f"; to compare: make compare REV={shlex.quote(other)}" if other else ""
    yield f"figures: {paths.FIGURES}/{hint}"


def _another_run(workspace: Revision) -> str:
    """The name of a revision with another run on the same test images, or ""."""
    here = history.lock(workspace)
    for revision in (workspace._replace(name="HEAD"), *history.references()):
        with suppress(UserError):
            there = history.lock(revision)
            if there != here and test_images(there) & test_images(here):
                return revision.name
    return ""


def main() -> None:
    print(*map(printable, wrapped(result())), sep="\n")


if __name__ == "__main__":
    run_main(main)
