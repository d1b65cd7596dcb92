"""Comparing branches with DVC's own commands."""

import json

from tests.conftest import Workspace


def test_what_differs_between_branches(small: Workspace) -> None:
    small.run("git", "switch", "--quiet", "wide")
    small.dvc("checkout")
    assert small.repro() == []
    params = json.loads(small.dvc("params", "diff", "main", "--json").stdout)
    assert params == {"params.yaml": {"train_hidden.units": {"old": 32, "new": 48, "diff": 16}}}
    # The linear model is the same on both branches, and nothing else is in the table.
    lines = small.dvc("metrics", "diff", "main").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["metrics/hidden.json", f"{split}.{name}"]
        for split in ("test", "validation")
        for name in ("accuracy", "loss")
    ]
    assert max(map(len, lines)) <= 80
