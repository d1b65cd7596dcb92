"""`make doctor`: a line for each need of the pipeline. Exits with 1 if there is a PROBLEM."""

import sys
import textwrap
from types import ModuleType

from digits.environment import require_packages

COLUMNS = 100


def main() -> None:
    # First, so that an incomplete environment gives a line and no traceback.
    require_packages()
    try:
        from digits.stage import run_main
        from tools import checks
    except ImportError as error:
        sys.exit(f"error: {error.name} is missing; rm -f .venv/.setup && make setup")
    run_main(lambda: report(checks))


def report(checks: ModuleType) -> None:
    problems = False
    for verdict, name, text in checks.findings():
        problems |= verdict == checks.PROBLEM
        label = f"{verdict:8}{name:9} "
        width = COLUMNS - len(label)
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        print(label, f"\n{' ' * len(label)}".join(lines), sep="")
    sys.exit(problems)


if __name__ == "__main__":
    main()
