"""dvc.yaml against the code: what a stage depends on is what it imports."""

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

PIPELINE: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES = sorted(PIPELINE["stages"])


def imported_modules(path: Path) -> set[Path]:
    """The project's modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {ROOT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("stages")}
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
    deps = {dep for dep in PIPELINE["stages"][stage]["deps"] if dep.endswith(".py")}
    imports = {str(path.relative_to(ROOT)) for path in closure(ROOT / f"stages/{stage}.py")}
    assert deps == imports


def test_every_stage_script_is_in_the_pipeline() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert scripts == set(STAGES)


def test_imports_run_one_way() -> None:
    for module in (ROOT / "stages/lib").glob("*.py"):
        assert all(path.parent.name == "lib" for path in imported_modules(module)), module
        for other in closure(module) - {module}:
            assert module not in closure(other), f"{module.name} and {other.name} import each other"


def test_git_tracks_metrics_and_history_and_dvc_the_rest() -> None:
    in_git = set()
    for stage in PIPELINE["stages"].values():
        # Under outs, a file that Git tracks would make DVC forget the stage's runs.
        assert all(isinstance(out, str) for out in stage["outs"])
        for out in [*stage.get("metrics", []), *stage.get("plots", [])]:
            (path, options), *_ = out.items()
            assert options["cache"] is False
            in_git.add(path)
    assert in_git == {
        "metrics/linear.json",
        "metrics/hidden.json",
        "metrics/comparison.json",
        "metrics/history/linear.csv",
        "metrics/history/hidden.csv",
    }
