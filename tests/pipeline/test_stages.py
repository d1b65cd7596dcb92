"""The four stages through `dvc repro`: what reruns, what is written, what is printed."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.repo import Repo

from digits import files, paths
from stages import evaluate, prepare, train_linear
from tests.conftest import Workspace


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def values(workspace: Workspace, path: Path) -> Any:
    return json.loads((workspace.path / path).read_text())


def arrays(workspace: Workspace, split: str) -> Any:
    return np.load(workspace.path / paths.prepared(split))


def test_what_reruns(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.path)

    def reruns(**params: Any) -> set[str]:
        """The stages that would run even if no other did."""
        small.set_params(**params)
        # `dvc status`, without starting a process each time.
        with Repo() as repo:
            stages = set(repo.status())
        small.run("git", "restore", "params.yaml")
        return stages

    assert reruns() == set()
    assert reruns(**{"prepare.seed": 2}) == {"prepare"}
    assert reruns(**{"prepare.dataset": "mnist"}) == {"prepare", "evaluate"}
    assert reruns(**{"train_hidden.units": 16}) == {"train_hidden"}
    assert reruns(**{"train_linear.learning_rate": 0.01}) == {"train_linear"}
    assert reruns(**{"runtime.portable": False}) == {"train_linear", "train_hidden", "evaluate"}
    for name in ("README.md", "tests/conftest.py", "digits/run.py", "digits/figures.py"):
        with (small.path / name).open("a") as file:
            file.write("\n# touched\n")
    # How a figure is drawn changes what `evaluate` writes, and nothing else changes anything.
    assert reruns() == {"evaluate"}


def test_prepared_data(small_pipeline: Workspace) -> None:
    train, validation, test = (arrays(small_pipeline, name) for name in paths.SPLITS)
    for split, n in ((train, 1200), (validation, 300), (test, 300)):
        assert split["images"].shape == (n, 784)
        assert split["images"].dtype == np.float32
        assert 0 == split["images"].min() < split["images"].max() == 1
        assert split["labels"].shape == (n,)
        assert split["labels"].dtype == np.uint8
    raw = np.load(small_pipeline.path / paths.raw("small"))
    np.testing.assert_allclose(test["images"] * 255, raw["x_test"].reshape(300, 784), atol=1e-4)
    np.testing.assert_array_equal(test["labels"], raw["y_test"])
    # Train and validation together are the raw training images with their labels, each once.
    images = np.concatenate([train["images"], validation["images"]]) * 255
    labels = np.concatenate([train["labels"], validation["labels"]])
    together = np.column_stack([images.round().astype(np.uint8), labels])
    expected = np.column_stack([raw["x_train"].reshape(1500, 784), raw["y_train"]])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(expected, axis=0))


def test_metrics_follow_from_the_predictions(small_pipeline: Workspace) -> None:
    labels = arrays(small_pipeline, "test")["labels"]
    right = {}
    for name in paths.MODELS:
        table = rows(small_pipeline.path / paths.predictions(name))
        assert list(table[0]) == ["index", "label", "prediction", "confidence"]
        assert [int(row["index"]) for row in table] == list(range(len(labels)))
        assert [int(row["label"]) for row in table] == list(labels)
        assert all(0.1 <= float(row["confidence"]) <= 1 for row in table)
        right[name] = np.array([row["prediction"] == row["label"] for row in table])
        metrics = values(small_pipeline, paths.metrics(name))
        assert {split: set(metrics[split]) for split in metrics} == {
            "validation": {"accuracy", "loss"},
            "test": {"accuracy", "loss"},
        }
        assert metrics["test"]["accuracy"] == pytest.approx(right[name].mean(), abs=1e-6)
        assert metrics["test"]["accuracy"] > 0.6
        details = values(small_pipeline, paths.details(name))
        assert set(details) == set(paths.SPLITS)
        digits = rows(small_pipeline.path / paths.per_digit(name))
        assert [row["digit"] for row in digits] == [str(digit) for digit in range(10)]
        f1 = np.mean([float(row["f1"]) for row in digits])
        assert details["test"]["macro_f1"] == pytest.approx(f1, abs=1e-5)
    comparison = values(small_pipeline, paths.COMPARISON)
    assert comparison["both_right"] == np.sum(right["linear"] & right["hidden"])
    assert comparison["only_hidden_right"] == np.sum(right["hidden"] & ~right["linear"])
    gain = right["hidden"].mean() - right["linear"].mean()
    assert comparison["accuracy_gain"] == pytest.approx(gain, abs=1e-6)


def test_history_ends_with_the_validation_metrics(small_pipeline: Workspace) -> None:
    for name in paths.MODELS:
        table = rows(small_pipeline.path / paths.history(name))
        assert list(table[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
        assert [row["epoch"] for row in table] == ["1", "2"]
        validation = values(small_pipeline, paths.metrics(name))["validation"]
        assert float(table[-1]["val_loss"]) == pytest.approx(validation["loss"], rel=1e-4)
        assert float(table[-1]["val_accuracy"]) == pytest.approx(validation["accuracy"])


@pytest.mark.usefixtures("tensorflow_started")
def test_plain_keras_opens_the_models_and_gets_the_same_accuracy(
    small_pipeline: Workspace,
) -> None:
    import keras

    test = arrays(small_pipeline, "test")
    for name, activations in (("linear", ["sigmoid"]), ("hidden", ["relu", "softmax"])):
        model = keras.saving.load_model(small_pipeline.path / paths.model(name))
        assert [layer.activation.__name__ for layer in model.layers] == activations
        assert getattr(model, "optimizer", None) is None
        right = model.predict(test["images"], verbose=0).argmax(axis=1) == test["labels"]
        expected = values(small_pipeline, paths.metrics(name))["test"]["accuracy"]
        assert right.mean() == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("tensorflow_started")
def test_no_validation_images(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.path)
    small.set_params(**{"prepare.validation_size": 0})
    # Without starting TensorFlow for each.
    for stage in (prepare, train_linear, evaluate):
        files.write_all(stage.main())
    assert len(arrays(small, "validation")["labels"]) == 0
    assert len(arrays(small, "train")["labels"]) == 1500
    assert values(small, paths.metrics("linear"))["validation"] == {}
    assert rows(small.path / paths.history("linear"))[0]["val_loss"] == ""
    assert "test.accuracy" in small.dvc("metrics", "show").stdout
    assert small.make("result").stdout.startswith("small, 300 test images")


def test_the_terminal_shows_progress_and_no_chatter(small_pipeline: Workspace) -> None:
    printed = (small_pipeline.path.parent / "stdout").read_text().splitlines()
    assert "small: 1200 images to train on, 300 to validate, 300 to test" in printed
    epochs = [line.split("  ")[0] for line in printed if line.startswith("epoch")]
    assert epochs == ["epoch 1/2", "epoch 2/2"] * 2
    assert (small_pipeline.path.parent / "stderr").read_text() == ""


def test_dvc_draws_each_file_once(small_pipeline: Workspace) -> None:
    # Where the environment is not .venv in the clone, too: it is not in this one.
    small_pipeline.dvc("plots", "show", "--out", "../plots")
    page = (small_pipeline.path.parent / "plots/index.html").read_text()
    figures = [path.name for path in small_pipeline.path.glob("metrics/figures/*.png")]
    assert len(figures) == 7
    assert [page.count(f"workspace_metrics_figures_{name}") for name in figures] == [1] * 7
    charts = [json.loads(spec) for spec in re.findall(r"var spec = (.*);\n", page)]
    # DVC has an empty one for a file without a series of values; the page leaves it out.
    titles = [chart["title"]["text"] for chart in charts if "data" in chart]
    assert titles == [
        "F1 by digit (test images)",
        "Linear model by epoch",
        "Hidden model by epoch",
    ]
