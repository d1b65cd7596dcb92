"""The leaderboard, from what `dvc exp show --json` prints."""

from typing import Any

import pytest

from stages.lib.errors import UserError
from tools.leaderboard import leaderboard


def revision(
    name: str,
    accuracy: float,
    units: int = 100,
    seed: int = 1,
    dataset: str = "mnist",
    linear: float = 0.9,
) -> dict[str, Any]:
    """A run as DVC lists it; the better its validation accuracy, the worse its test accuracy."""
    values = {
        "prepare": {"dataset": dataset, "validation_size": 5000, "seed": 1},
        "train_linear": {"epochs": 5, "seed": 1},
        "train_hidden": {"units": units, "epochs": 5, "seed": seed},
    }
    metrics = {
        f"metrics/{kind}.json": {
            "data": {"validation": {"accuracy": value}, "test": {"accuracy": 1 - value}}
        }
        for kind, value in (("linear", linear), ("hidden", accuracy))
    }
    data = {"params": {"params.yaml": {"data": values}}, "metrics": metrics}
    return {"rev": f"{name}0123456789", "name": name, "data": data}


def shown(*experiments: dict[str, Any], baseline: dict[str, Any]) -> list[dict[str, Any]]:
    workspace = revision("workspace", 0.999, units=7) | {"rev": "workspace", "name": None}
    runs = [{"revs": [experiment]} for experiment in experiments]
    return [workspace, baseline | {"experiments": runs}]


def test_the_best_mean_over_seeds_comes_first_and_a_shared_model_counts_once() -> None:
    board = leaderboard(
        shown(
            revision("lucky", 0.97, units=300, seed=1),
            revision("unlucky", 0.91, units=300, seed=2),
            revision("steady", 0.95, units=1000),
            baseline=revision("main", 0.8),
        )
    )
    assert board.splitlines() == [
        "Validation accuracy, dataset mnist, validation_size 5000",
        "",
        "model   epochs  units  accuracy  deviation  seeds  best experiment",
        "hidden       5   1000    0.9500          -      1  steady",
        "hidden       5    300    0.9400     0.0424      2  lucky",
        "linear       5      -    0.9000          -      1  main",
        "hidden       5    100    0.8000          -      1  main",
    ]


def test_only_runs_with_the_same_validation_images_share_a_table() -> None:
    board = leaderboard(
        shown(revision("other", 0.99, dataset="uci_digits"), baseline=revision("main", 0.8))
    )
    first, second = board.split("\n\nValidation accuracy, ")
    assert "mnist" in first and "other" not in first
    assert second.startswith("dataset uci_digits") and "other" in second


def test_failed_and_unvalidated_runs_are_left_out() -> None:
    failed = {"rev": "0123456789", "name": "failed", "data": None, "error": {"msg": "failed"}}
    unvalidated = revision("unvalidated", 0.99)
    for file in unvalidated["data"]["metrics"].values():
        del file["data"]["validation"]
    board = leaderboard(shown(failed, unvalidated, baseline=revision("main", 0.8)))
    assert "failed" not in board and "unvalidated" not in board
    with pytest.raises(UserError, match="no run here has a validation accuracy"):
        leaderboard(shown(baseline=unvalidated))
