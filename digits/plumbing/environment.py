"""Check that the packages of the environment are installed."""

import sys
from importlib.util import find_spec

NEEDED = ("dvc", "keras", "matplotlib", "numpy", "pydantic", "scipy", "tensorflow", "yaml")


def require_packages() -> None:
    """Exit with one line where a package is missing."""
    # A command runs with the first `python` on the path, which need not be that of .venv.
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(
            f"error: {sys.executable} lacks {', '.join(missing)}; "
            "run make, then: source .venv/bin/activate"
        )
