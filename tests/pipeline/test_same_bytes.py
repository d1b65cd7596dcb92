"""The same commit gives the same bytes, whoever runs it, where and when."""

import os
import shutil
from collections.abc import Callable

from tests.conftest import SMALL, Workspace


def test_other_circumstances_same_bytes(
    small_pipeline: Workspace, checkout: Callable[[], Workspace]
) -> None:
    """Another folder, home, time zone, locale, hash seed, number of cores; nothing cached."""
    elsewhere = checkout()
    elsewhere.set_params(**SMALL)
    circumstances = {
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "12345",
        "HOME": str(elsewhere.path.parent),
        "TF_NUM_INTRAOP_THREADS": "5",
    }
    one_core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    if not shutil.which("taskset"):
        one_core = []
    elsewhere.run(*one_core, "dvc", "repro", env=circumstances)
    assert elsewhere.lock() == small_pipeline.lock()
    assert elsewhere.outputs() == small_pipeline.outputs()


def test_a_forced_rerun_changes_nothing(small: Workspace) -> None:
    """So it never makes a later stage rerun. Changed files in Git would show, too."""
    for stage in ("prepare", "train_linear", "train_hidden", "evaluate"):
        assert small.repro("--force", "--single-item", stage) == [stage]
        assert small.run("git", "status", "--porcelain").stdout == ""
    assert small.repro() == []
