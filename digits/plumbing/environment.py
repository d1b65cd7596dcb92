"""Check that the packages of the environment are installed."""

import os
import sys
from importlib.util import find_spec

NEEDED = ("dvc", "keras", "matplotlib", "numpy", "pydantic", "scipy", "tensorflow", "yaml")


def require_packages() -> None:
    """Exit with one line where a package is missing, or hidden by that of a different Python."""
    specs = {name: find_spec(name) for name in NEEDED}
    # A command runs with the first `python` on the path, which need not be that of .venv.
    missing = [name for name, spec in specs.items() if spec is None]
    if missing:
        sys.exit(
            f"error: {sys.executable} lacks {', '.join(missing)}; "
            "run make, then: source .venv/bin/activate"
        )
    folders = tuple(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    for origin in (str(spec.origin) for spec in specs.values() if spec):
        ours = origin.startswith(sys.prefix) or sys.prefix == sys.base_prefix
        if origin.startswith(folders) and not ours:
            sys.exit(f"error: {origin} hides the package in {sys.prefix}; unset PYTHONPATH")
