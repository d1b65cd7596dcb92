"""dvc.yaml against the code: a stage depends on its imports, and evaluate on each model."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from digits.plumbing import paths, stage
from tests.conftest import MODELS, ROOT

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES: dict[str, Any] = PIPELINE["stages"]


def closure(path: Path) -> set[Path]:
    """The file and the project's modules that it imports, directly or not."""
    found, waiting = set(), [path]
    while waiting:
        names = set()
        for node in ast.walk(ast.parse(waiting[-1].read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        found.add(waiting.pop())
        files = {ROOT / f"{name.replace('.', '/')}.py" for name in names}
        waiting += [file for file in files - found if file.exists()]
    return found


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_cover_the_imports_without_plumbing(name: str) -> None:
    code = {Path(dep) for dep in STAGES[name]["deps"] if dep.startswith(("digits", "stages"))}
    modules = {path.relative_to(ROOT) for path in closure(ROOT / f"stages/{name}.py")}
    modules = {path for path in modules if stage.counts(path, (ROOT / path).read_bytes())}
    named = {module: code & {module, *module.parents} for module in modules}
    for module, deps in named.items():
        assert len(deps) == 1, f"dvc.yaml, stage {name}: add {module}"
    assert code == set().union(*named.values())


def test_imports_run_one_way() -> None:
    for module in (ROOT / "digits").rglob("*.py"):
        for other in closure(module) - {module}:
            assert ROOT / "digits" in other.parents, f"{module.name} imports {other.name}"
            assert module not in closure(other), f"{module.name} and {other.name} import each other"


def test_evaluate_covers_every_model() -> None:
    evaluate = STAGES["evaluate"]
    (f1,) = (plot["f1"]["y"] for plot in PIPELINE["plots"] if "f1" in plot)
    metrics = [path for entry in evaluate["metrics"] for path in entry]
    listed = {*evaluate["deps"], *evaluate["outs"], *metrics, *f1}
    for name in MODELS:
        # Whatever its kind.
        assert any(Path(path).with_suffix(".keras") == paths.model(name) for path in listed), name
        for path in (paths.metrics, paths.per_label):
            assert str(path(name)) in listed, f"dvc.yaml: add {path(name)} where the others are"
    trained = [name.removeprefix("train_") for name in STAGES if name.startswith("train_")]
    for name in trained:
        assert name in MODELS, f"params.yaml: add {name} to evaluate.models"
    assert sorted(MODELS) == sorted(trained)
