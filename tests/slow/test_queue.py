"""Many experiments on one machine: DVC's queue, and the leaderboard over what it ran."""

import subprocess

from tests.conftest import Workspace
from tests.servers import wait_until


def test_a_queue_trains_what_experiments_share_once(small: Workspace) -> None:
    small.dvc("exp", "run", "--queue", "-S", "train_hidden.units=8", "-S", "train_hidden.seed=1,2")
    # Its workers stay; a pipe for their output would stay open as long.
    subprocess.run(
        ["dvc", "queue", "start", "--jobs", "2"],
        cwd=small.path,
        env=small.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )

    def ended() -> bool:
        status = small.dvc("queue", "status").stdout
        return "Queued" not in status and "Running" not in status

    wait_until(ended)
    names = set(small.dvc("exp", "list", "--names-only").stdout.split()) - {"wide"}
    assert len(names) == 2
    for name in names:
        log = small.dvc("queue", "logs", name).stdout
        assert "Stage 'train_linear' didn't change, skipping" in log
        assert "Running stage 'train_hidden'" in log

    board = small.run_module("tools.leaderboard").stdout.splitlines()
    header = next(line.split() for line in board if "units" in line)
    rows = [dict(zip(header, line.split(), strict=False)) for line in board]
    assert [row["seeds"] for row in rows if row.get("units") == "8"] == ["2"]
