"""`make result`: what the pipeline wrote, in a few lines."""

import textwrap
from pathlib import Path
from typing import Any

from digits import files, params, paths
from digits.comparison import PairedComparison
from digits.run import run_main

COLUMNS = 100


def main() -> None:
    print(result())


def result() -> str:
    """At most eight lines of at most 100 columns. Raises UserError where a file is missing."""
    counts = _read(paths.COMPARISON)
    pair = PairedComparison(
        counts["both_right"],
        counts["only_linear_right"],
        counts["only_hidden_right"],
        counts["both_wrong"],
    )
    title = f"{params.dataset()}, {sum(pair):,} test images"
    lines = [f"{title:36.36}{'accuracy':>10}{'loss':>10}{'macro F1':>10}{'calibration error':>20}"]
    for name in paths.MODELS:
        test = _read(paths.metrics(name))["test"] | _read(paths.details(name))["test"]
        lines.append(
            f"{name:36}{test['accuracy']:10.4f}{test['loss']:10.4f}{test['macro_f1']:10.4f}"
            f"{test['calibration_error']:20.4f}"
        )
    low, high = pair.ci95
    verdict = f"McNemar's exact test: {pair.verdict('linear', 'hidden')}."
    return "\n".join(
        [
            *lines,
            f"hidden against linear: {100 * pair.gain:+.2f} percentage points of accuracy "
            f"(95 % interval {100 * low:+.2f} to {100 * high:+.2f}).",
            *textwrap.wrap(verdict, COLUMNS),
            f"Figures: {paths.figure('*').parent}/. Compare with a revision on a page: "
            "make report REV=main",
        ]
    )


def _read(path: Path) -> dict[str, Any]:
    return files.parse_json(files.read(path), str(path))


if __name__ == "__main__":
    run_main(main)
