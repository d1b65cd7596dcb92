"""The stages of the pipeline, each run as `python -m stages.NAME`."""

import time

# Python runs this before it reads any other module of the project: see digits/plumbing/stage.py.
# Times of files lag behind the clock by up to 10 ms.
STARTED = time.time_ns() - 10_000_000

from digits.plumbing.environment import require_packages  # noqa: E402

require_packages()
