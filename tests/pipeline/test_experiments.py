"""Comparing branches and running experiments, DVC's way."""

import json
import sys

from tests.conftest import Workspace


def test_metrics_and_params_differ_between_branches(small: Workspace) -> None:
    small.run("git", "switch", "--quiet", "--create", "wider")
    small.set_params(**{"train_hidden.units": 48})
    assert small.repro() == ["train_hidden", "evaluate"]
    small.commit("48 hidden units")

    params = json.loads(small.dvc("params", "diff", "main", "--json").stdout)
    assert params == {"params.yaml": {"train_hidden.units": {"old": 32, "new": 48, "diff": 16}}}
    metrics = json.loads(small.dvc("metrics", "diff", "main", "--json").stdout)
    # The linear model is the same on both branches.
    assert set(metrics) == {"metrics/hidden.json", "metrics/comparison.json"}
    change = metrics["metrics/hidden.json"]["test.loss"]
    assert change["old"] != change["new"]

    done = small.run(sys.executable, "-m", "tools.report", "main")
    assert done.stdout.startswith("report/index.html: main against the workspace")

    model = small.path / "models/hidden.keras"
    wider = model.read_bytes()
    small.run("git", "switch", "--quiet", "main")
    # From the cache: what is checked out is what main has, and there is nothing left to run.
    small.dvc("checkout")
    assert model.read_bytes() != wider
    assert small.repro() == []


def test_an_experiment_changes_a_parameter_and_is_listed(small: Workspace) -> None:
    small.dvc("exp", "run", "--name", "narrow", "-S", "train_hidden.units=8")
    assert "units: 8 " in (small.path / "params.yaml").read_text()
    # The comments survive.
    assert "# width of the hidden layer" in (small.path / "params.yaml").read_text()
    shown = small.dvc("exp", "show", "--csv").stdout.splitlines()
    assert any("narrow" in line for line in shown)
