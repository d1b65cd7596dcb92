"""The same commit gives the same bytes, whoever runs it, where and when."""

import os
import shutil
from collections.abc import Callable

from digits import paths
from tests.conftest import SMALL, STAGES, Workspace, cut_from_mnist


def test_other_circumstances_same_bytes(
    small_pipeline: Workspace, checkout: Callable[[], Workspace]
) -> None:
    """Another folder, home, time zone, locale, hash seed, number of cores; nothing cached."""
    elsewhere = checkout()
    (elsewhere.path / paths.raw("small")).write_bytes(cut_from_mnist())
    elsewhere.set_params(**SMALL)
    circumstances = {
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "12345",
        "HOME": str(elsewhere.path.parent),
        "TF_NUM_INTRAOP_THREADS": "5",
        # What people set who want the same bits; it would change them.
        "TF_DETERMINISTIC_OPS": "1",
    }
    one_core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    if not shutil.which("taskset"):
        one_core = []
    elsewhere.run_stages(*STAGES, before=one_core, env=circumstances)
    for name, content in small_pipeline.outputs().items():
        assert (elsewhere.path / name).read_bytes() == content, name
