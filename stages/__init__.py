"""The stages of the pipeline, each run as `python -m stages.NAME`."""

import sys
from importlib.util import find_spec

NEEDED = ("keras", "matplotlib", "numpy", "pydantic", "ruamel", "tensorflow")

# A stage runs with the first `python` on the path, which need not be that of the environment.
missing = [name for name in NEEDED if find_spec(name) is None]
if missing:
    sys.exit(
        f"error: {sys.executable} lacks {', '.join(missing)}; "
        "run make, then: source .venv/bin/activate"
    )
