"""Many experiments on one machine: DVC's queue, and the leaderboard over what it ran."""

import subprocess

from tests.conftest import Workspace
from tests.servers import wait_until


def test_a_queue_trains_what_experiments_share_once_whatever_the_number_of_jobs(
    small: Workspace,
) -> None:
    small.dvc("exp", "run", "--queue", "-S", "train_hidden.units=8", "-S", "train_hidden.seed=1,2")
    # Its workers stay; a pipe for their output would stay open as long.
    subprocess.run(
        ["dvc", "queue", "start", "--jobs", "2"],
        cwd=small.path,
        env=small.environment | {"TF_NUM_INTRAOP_THREADS": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wait_until(lambda: small.dvc("queue", "status").stdout.count("Success") == 2, 300)
    for name in small.dvc("exp", "list", "--names-only").stdout.split():
        if name == "wide":
            # Not from the queue: `small_pipeline` has run it.
            continue
        log = small.dvc("queue", "logs", name).stdout
        assert "Stage 'train_linear' didn't change, skipping" in log
        assert "Running stage 'train_hidden'" in log

    tables = small.run_module("tools.leaderboard").stdout.split("Validation accuracy")
    board = next(table.splitlines() for table in tables if "dataset small" in table)
    assert sum(line.startswith("linear") for line in board) == 1
    header = next(line.split() for line in board if "units" in line)
    rows = [dict(zip(header, line.split(), strict=False)) for line in board]
    assert [row["seeds"] for row in rows if row.get("units") == "8"] == ["2"]

    # One after the other, without a queue: the same models.
    small.dvc("exp", "run", "--name", "alone", "-S", "train_hidden.units=8")
    trees = {
        small.run("git", "rev-parse", f"{revision}^{{tree}}").stdout
        for revision in small.dvc("exp", "list", "--sha-only").stdout.split()
    }
    # Two from the queue, and `wide`.
    assert len(trees) == 3
