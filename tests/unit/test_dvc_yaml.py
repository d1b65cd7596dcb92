"""dvc.yaml against the code: what a stage depends on is what it imports and loads."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from digits import params
from tests.conftest import ROOT

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES: dict[str, Any] = PIPELINE["stages"]
# Starts a stage and writes what it returns.
CHANGES_NO_OUTPUT = {ROOT / "digits/run.py"}


def imported_modules(path: Path) -> set[Path]:
    """The project's modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {
        ROOT / f"{name.replace('.', '/')}.py"
        for name in names
        if name.startswith(("stages", "digits"))
    }
    return {file for file in files if file.exists()}


def closure(path: Path) -> set[Path]:
    found, waiting = {path}, [path]
    while waiting:
        new = imported_modules(waiting.pop()) - found
        found |= new
        waiting += new
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_the_imports(stage: str) -> None:
    deps = [dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")]
    modules = closure(ROOT / f"stages/{stage}.py") - CHANGES_NO_OUTPUT
    assert deps == sorted(str(path.relative_to(ROOT)) for path in modules)


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_groups_that_a_stage_loads(stage: str) -> None:
    group_of = {
        field.annotation.__name__: name
        for name, field in params.Params.model_fields.items()
        if field.annotation
    }
    code = (ROOT / f"stages/{stage}.py").read_text()
    loaded = {group_of[name] for name in re.findall(r"params\.load\(params\.(\w+)\)", code)}
    if "params.dataset()" in code:
        loaded.add("prepare.dataset")
    assert STAGES[stage]["params"] == sorted(loaded)


def test_every_stage_script_is_in_the_pipeline() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert scripts == STAGES.keys()
    assert all(STAGES[name]["cmd"] == f"python -m stages.{name}" for name in scripts)


def test_imports_run_one_way() -> None:
    for module in (ROOT / "digits").glob("*.py"):
        assert all(path.parent.name == "lib" for path in imported_modules(module)), module
        for other in closure(module) - {module}:
            assert module not in closure(other), f"{module.name} and {other.name} import each other"


def test_git_tracks_metrics_history_and_comparison_and_dvc_the_rest() -> None:
    in_git = set()
    for stage in STAGES.values():
        # Under outs, a file that Git tracks would make DVC forget the stage's runs.
        assert all(isinstance(out, str) for out in stage["outs"])
        for out in [*stage.get("metrics", []), *stage.get("plots", [])]:
            ((path, options),) = out.items()
            assert options["cache"] is False
            in_git.add(path)
    models = ("linear", "hidden")
    assert in_git == {
        "metrics/comparison.json",
        *(f"metrics/{name}.json" for name in models),
        *(f"metrics/details/{name}.json" for name in models),
        *(f"metrics/history/{name}.csv" for name in models),
    }
    tables = [[*metric] for metric in STAGES["evaluate"]["metrics"]]
    assert tables == [["metrics/hidden.json"], ["metrics/linear.json"]]
