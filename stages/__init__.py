"""The stages of the pipeline, each run as `python -m stages.NAME`."""

import time

# Python runs this before it reads any other module of the project: see digits/stage.py.
STARTED = time.time_ns()

from digits.environment import require_packages  # noqa: E402

require_packages()
