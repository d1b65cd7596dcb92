"""The four stages through `dvc repro`: what runs, what is written, what it says."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.lib import paths
from tests.conftest import Workspace

ALL = ["prepare", "train_linear", "train_hidden", "evaluate"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def arrays(workspace: Workspace, split: str) -> Any:
    return np.load(workspace.path / paths.prepared(split))


def test_a_second_repro_runs_nothing(small: Workspace) -> None:
    assert small.repro() == []


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        ({"train_hidden.units": 16}, ["train_hidden", "evaluate"]),
        ({"train_linear.learning_rate": 0.01}, ["train_linear", "evaluate"]),
        ({"evaluate.examples": 5}, ["evaluate"]),
        ({"prepare.validation_size": 200}, ALL),
    ],
    ids=str,
)
def test_a_parameter_reruns_what_depends_on_it(
    small: Workspace, changes: dict[str, Any], ran: list[str]
) -> None:
    small.set_params(**changes)
    assert small.repro() == ran
    assert small.repro() == []


def test_documentation_and_tests_rerun_nothing_and_a_module_what_imports_it(
    small: Workspace,
) -> None:
    for name in ("README.md", "tests/conftest.py", "Makefile", "pyproject.toml"):
        with (small.path / name).open("a") as file:
            file.write("\n# touched\n")
    assert small.repro() == []
    with (small.path / "stages/lib/figures.py").open("a") as file:
        file.write("\n# touched\n")
    assert small.repro() == ["evaluate"]


def test_prepared_data(small_pipeline: Workspace) -> None:
    train, validation, test = (arrays(small_pipeline, name) for name in paths.SPLITS)
    for split, n in ((train, 1200), (validation, 300), (test, 297)):
        assert split["images"].shape == (n, 784)
        assert split["images"].dtype == np.float32
        assert 0 == split["images"].min() < split["images"].max() == 1
        assert split["labels"].shape == (n,)
        assert split["labels"].dtype == np.uint8
    raw = np.load(small_pipeline.path / "data/raw/uci_digits.npz")
    np.testing.assert_array_equal(test["images"] * 255, raw["x_test"].reshape(297, 784))
    np.testing.assert_array_equal(test["labels"], raw["y_test"])
    # Train and validation together are the raw training images with their labels, each once.
    together = np.concatenate([train["images"], validation["images"]]) * 255
    labelled = np.column_stack([together, np.concatenate([train["labels"], validation["labels"]])])
    expected = np.column_stack([raw["x_train"].reshape(1500, 784), raw["y_train"]])
    np.testing.assert_array_equal(
        np.unique(labelled.round(), axis=0), np.unique(expected.astype(np.float64), axis=0)
    )


def test_scores_follow_from_the_predictions(small_pipeline: Workspace) -> None:
    labels = arrays(small_pipeline, "test")["labels"]
    right = {}
    for name in paths.MODELS:
        table = rows(small_pipeline.path / paths.predictions(name))
        assert list(table[0]) == ["index", "label", "prediction", "confidence"]
        assert [int(row["index"]) for row in table] == list(range(len(labels)))
        assert [int(row["label"]) for row in table] == list(labels)
        assert all(0.1 <= float(row["confidence"]) <= 1 for row in table)
        right[name] = np.array([row["prediction"] == row["label"] for row in table])
        scores = json.loads((small_pipeline.path / paths.scores(name)).read_text())
        assert scores.keys() == {"train", "validation", "test"}
        assert scores["test"]["accuracy"] == pytest.approx(right[name].mean(), abs=1e-6)
        assert scores["test"].keys() == {"accuracy", "loss", "macro_f1", "calibration_error"}
        assert scores["test"]["accuracy"] > 0.6
        digits = rows(small_pipeline.path / paths.per_digit(name))
        assert [row["digit"] for row in digits] == [str(digit) for digit in range(10)]
        f1 = np.mean([float(row["f1"]) for row in digits])
        assert scores["test"]["macro_f1"] == pytest.approx(f1, abs=1e-5)
    comparison = json.loads((small_pipeline.path / paths.COMPARISON).read_text())
    assert comparison["both_right"] == np.sum(right["linear"] & right["hidden"])
    assert comparison["only_hidden_right"] == np.sum(right["hidden"] & ~right["linear"])
    gain = right["hidden"].mean() - right["linear"].mean()
    assert comparison["accuracy_gain"] == pytest.approx(gain, abs=1e-6)


def test_history_ends_where_the_scores_are(small_pipeline: Workspace) -> None:
    for name in paths.MODELS:
        table = rows(small_pipeline.path / paths.history(name))
        assert list(table[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
        assert [row["epoch"] for row in table] == ["1", "2"]
        scores = json.loads((small_pipeline.path / paths.scores(name)).read_text())
        assert float(table[-1]["val_loss"]) == pytest.approx(scores["validation"]["loss"], rel=1e-4)
        assert float(table[-1]["val_accuracy"]) == pytest.approx(scores["validation"]["accuracy"])


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
        predicted = model.predict(test["images"], verbose=0).argmax(axis=1)
        scores = json.loads((small_pipeline.path / paths.scores(name)).read_text())
        assert np.mean(predicted == test["labels"]) == pytest.approx(
            scores["test"]["accuracy"], abs=1e-6
        )


def test_no_validation_images(small: Workspace) -> None:
    small.set_params(**{"prepare.validation_size": 0})
    small.repro()
    assert len(arrays(small, "validation")["labels"]) == 0
    assert len(arrays(small, "train")["labels"]) == 1500
    assert json.loads((small.path / paths.scores("linear")).read_text())["validation"] == {}
    assert rows(small.path / paths.history("linear"))[0]["val_loss"] == ""
    assert "test.accuracy" in small.dvc("metrics", "show").stdout


def test_pictures_are_plots_of_dvc(small_pipeline: Workspace) -> None:
    shown = json.loads(small_pipeline.dvc("plots", "show", "--json", "--split").stdout)
    pictures = {name for name in shown["data"] if name.endswith(".png")}
    assert pictures == {
        str(path.relative_to(small_pipeline.path))
        for path in small_pipeline.path.glob("metrics/figures/*.png")
    }
    assert len(pictures) == 7


def test_the_models_are_artifacts(small: Workspace) -> None:
    for name in paths.MODELS:
        small.run("git", "tag", "--annotate", f"{name}@v1.0.0", "--message", "first")
        small.dvc("artifacts", "get", ".", name, "--out", "fetched.keras", "--force")
        expected = (small.path / paths.model(name)).read_bytes()
        assert (small.path / "fetched.keras").read_bytes() == expected


def test_the_terminal_shows_progress_and_no_chatter(small: Workspace) -> None:
    done = small.stage("train_hidden")
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert done.stderr == ""
    for name in ("prepare", "evaluate"):
        assert small.stage(name).stderr == ""


def test_default_parameters_work_on_the_shipped_digits(small: Workspace) -> None:
    """validation_size 5000 is more than there are images: half of them are held out."""
    small.run("git", "checkout", "--quiet", "HEAD~1", "--", "params.yaml")
    small.set_params(**{"prepare.dataset": "uci_digits"})
    done = small.stage("prepare")
    assert done.stdout == ("uci_digits: 750 images to train on, 750 to validate, 297 to test\n")
