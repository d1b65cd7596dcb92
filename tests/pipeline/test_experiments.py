"""Comparing branches and running experiments, DVC's way."""

import json

from tests.conftest import ROOT, Workspace


def test_metrics_and_params_differ_between_branches(small: Workspace) -> None:
    small.run("git", "switch", "--quiet", "wide")
    # The comments survive.
    assert "# width of the hidden layer" in (small.path / "params.yaml").read_text()
    small.dvc("checkout")
    assert small.repro() == []

    params = json.loads(small.dvc("params", "diff", "main", "--json").stdout)
    assert params == {"params.yaml": {"train_hidden.units": {"old": 32, "new": 48, "diff": 16}}}
    # The linear model is the same on both branches.
    lines = small.dvc("metrics", "diff", "main").stdout.splitlines()
    metrics = [tuple(line.split()[:2]) for line in lines[1:]]
    assert set(metrics) == {
        ("metrics/hidden.json", f"{split}.{name}")
        for split in ("test", "validation")
        for name in ("accuracy", "loss")
    }
    # Without the path, two models would have metrics of the same name.
    assert len(metrics) == len(set(metrics))
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert "--no-path" not in document.read_text(), document
    shown = small.dvc("metrics", "show").stdout
    assert "comparison" not in shown
    assert "details" not in shown
    assert max(map(len, lines + shown.splitlines())) <= 120

    model = small.path / "models/hidden.keras"
    wider = model.read_bytes()
    small.run("git", "switch", "--quiet", "main")
    # From the cache: what is checked out is what main has, and there is nothing left to run.
    small.dvc("checkout")
    assert model.read_bytes() != wider
    assert small.repro() == []
