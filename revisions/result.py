"""`make result`: show the results of the last run in a few lines."""

import shlex
from collections.abc import Iterator
from contextlib import suppress

import tabulate

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import sanitize, wrap
from digits.portable import formats
from revisions import files, runs
from revisions.compare import images
from revisions.files import WORKSPACE, Revision
from revisions.verdicts import difference, pair_verdict

# These metrics come first.
FIRST = ("accuracy", "loss", "macro_f1", "calibration_error")


def result() -> Iterator[str]:
    """Yield the lines. Raises UserError where a file is missing or not that of the last run."""
    workspace = files.find(WORKSPACE)
    lock = files.whole_lock(workspace)
    details, comparisons = (
        formats.parse_json(files.read(workspace, path), str(path))
        for path in (paths.DETAILS, paths.COMPARISON)
    )
    test = [entry for entry in details if entry["split"] == "test"]
    names = [key for key in FIRST if key in test[0]]
    names += [key for key in test[0] if key not in (*FIRST, "model", "split")]
    title = f"{lock.parameters.get('prepare.dataset', '?')}, test images"
    table = [[entry["model"], *(entry[name] for name in names)] for entry in test]
    header = [title, *map(runs.readable, names)]
    yield from tabulate.tabulate(table, header, tablefmt="plain", floatfmt=".4f").splitlines()
    for entry in comparisons:
        model, baseline = entry["model"], entry["baseline"]
        gain, low, high = (entry[f"accuracy_gain{end}"] for end in ("", "_ci95_low", "_ci95_high"))
        conclusion = pair_verdict(gain, (low, high), entry["mcnemar_p"], baseline, model)
        yield f"{model} vs. {baseline}: {difference(gain, (low, high))}; {conclusion}"
    yield from (f"{key}: {value}" for key, value in files.own_metrics(workspace).items())
    if changed := files.stale_inputs(workspace):
        yield f"changed since this run: {changed}; run dvc repro"
    if unrun := runs.unrun_parameters(workspace):
        yield f"warning: {unrun}"
    try:
        for path in files.list_files(workspace, str(paths.FIGURES)):
            files.read(workspace, path)
    except UserError as error:
        yield str(error)
    other = _another_run(workspace)
    hint = f"; to compare: make compare REV={shlex.quote(other)}" if other else ""
    yield f"figures: {paths.FIGURES}/{hint}"


def _another_run(workspace: Revision) -> str:
    """Return the name of a revision with a different run on the same test images, or ""."""
    here = files.lock(workspace)
    for revision in (workspace._replace(name="HEAD"), *files.references()):
        with suppress(UserError):
            there = files.lock(revision)
            if there != here and images(there, "test") & images(here, "test"):
                return revision.name
    return ""


def main() -> None:
    print(*map(sanitize, wrap(result())), sep="\n")


if __name__ == "__main__":
    run_main(main)
