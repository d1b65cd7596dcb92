"""Every model is evaluated and drawn; what else dvc.yaml lacks, the stages say themselves."""

import yaml

from digits.plumbing import paths
from tests.conftest import MODELS, ROOT


def test_no_model_is_forgotten() -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    trained = [f"train_{name}" for name in MODELS]
    stages = [name for name in pipeline["stages"] if name.startswith("train_")]
    assert sorted(stages) == sorted(trained), "params.yaml: evaluate.models"
    (f1,) = (plot["f1"]["y"] for plot in pipeline["plots"] if "f1" in plot)
    assert {*f1} == {str(paths.per_label(name)) for name in MODELS}, "dvc.yaml: plots"
