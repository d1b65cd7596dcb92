"""Many experiments on one machine: DVC's queue, and the leaderboard of its results."""

from tests.conftest import Workspace


def test_a_queue_trains_what_experiments_share_once(small: Workspace) -> None:
    small.dvc("exp", "run", "--queue", "-S", "train_hidden.units=8", "-S", "train_hidden.seed=1,2")
    # As `dvc queue start` does, and waits.
    small.dvc("exp", "run", "--run-all", "--jobs", "2")
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
