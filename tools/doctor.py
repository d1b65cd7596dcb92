"""`make doctor`: what this project needs, a line each, and what to do about what is missing.

Exit status 1 if there is a PROBLEM. A note does not stop the pipeline.
"""

import sys
import textwrap

from digits.environment import require_packages

COLUMNS = 100


def main() -> None:
    # First, so that an incomplete environment gives a line and no traceback.
    require_packages()
    try:
        from tools import checks
    except ImportError as error:
        sys.exit(f"error: {error.name} is missing; rm -f .venv/.setup && make setup")
    problems = False
    for verdict, name, text in checks.findings():
        problems |= verdict == checks.PROBLEM
        label = f"{verdict:8}{name:9} "
        lines = textwrap.wrap(
            text,
            COLUMNS,
            initial_indent=label,
            subsequent_indent=" " * len(label),
            break_long_words=False,
            break_on_hyphens=False,
        )
        print("\n".join(lines))
    sys.exit(problems)


if __name__ == "__main__":
    main()
