"""MNIST with the default parameters, against what is committed."""

import json

import pytest

from stages.lib import runtime
from tests.conftest import Workspace


def test_accuracy(mnist_pipeline: Workspace) -> None:
    for name, least in (("linear", 0.925), ("hidden", 0.978)):
        metrics = json.loads((mnist_pipeline.path / f"metrics/{name}.json").read_text())
        assert metrics["test"]["accuracy"] >= least


def test_the_hidden_model_is_better_and_the_difference_is_real(mnist_pipeline: Workspace) -> None:
    comparison = json.loads((mnist_pipeline.path / "metrics/comparison.json").read_text())
    assert comparison["accuracy_gain_ci95_low"] > 0.03
    assert 0 < comparison["mcnemar_p"] < 1e-6


@pytest.mark.skipif(
    runtime.unsupported_reason() is not None, reason="this machine computes other bits"
)
def test_a_fresh_clone_gives_exactly_what_is_committed(mnist_pipeline: Workspace) -> None:
    assert mnist_pipeline.run("git", "status", "--porcelain").stdout == ""
