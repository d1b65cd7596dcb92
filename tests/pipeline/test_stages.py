"""The four stages through `dvc repro`: their reruns, files and output."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from dvc.repo import Repo
from keras import layers

from digits import data
from digits.plumbing import files, paths
from digits.plumbing.errors import UserError
from stages import evaluate, prepare, train_hidden
from tests.conftest import CHARTS, MODELS, STAGES, Workspace


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def values(workspace: Workspace, path: Path) -> Any:
    return json.loads((workspace.path / path).read_text())


def arrays(workspace: Workspace, split: str) -> Any:
    return np.load(workspace.path / paths.prepared(split))


@pytest.fixture
def inside(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of the small pipeline, in whose folder this process is."""
    monkeypatch.chdir(small.path)
    return small


def test_reruns(inside: Workspace) -> None:
    def reruns(**params: Any) -> set[str]:
        """The stages that would run even if no other did."""
        inside.set_params(**params)
        # `dvc status`, without starting a process each time.
        with Repo() as repo:
            stages = set(repo.status())
        inside.run("git", "restore", "params.yaml")
        return stages

    assert reruns() == set()
    assert reruns(**{"prepare.seed": 2}) == {"prepare"}
    assert reruns(**{"train_hidden.units": 16}) == {"train_hidden"}
    assert reruns(**{"evaluate.examples": 8}) == {"evaluate"}
    assert reruns(**{"runtime.portable": False}) == {*STAGES} - {"prepare"}
    for file in (Path("README.md"), *Path("digits/plumbing").glob("*.py")):
        file.write_text(file.read_text().replace('."""', ', in other words."""', 1) + "\n")
    assert reruns() == set()
    Path("digits/figures.py").write_text("")
    assert reruns() == {"evaluate"}


def test_prepared_data(small_pipeline: Workspace) -> None:
    raw = np.load(small_pipeline.path / paths.raw("small"))
    kept, held_out = data.split_indices(1500, 300, seed=1)
    for split, part, chosen in (
        ("train", "train", kept),
        ("validation", "train", held_out),
        ("test", "test", np.arange(300)),
    ):
        prepared, images = arrays(small_pipeline, split), raw[f"x_{part}"][chosen]
        np.testing.assert_allclose(prepared["images"] * 255, images.reshape(-1, 784), atol=1e-4)
        np.testing.assert_array_equal(prepared["labels"], raw[f"y_{part}"][chosen], strict=True)
    description = {"name": "small", "labels": [*"0123456789"], "shape": [28, 28]}
    assert values(small_pipeline, paths.DATASET) == description


def test_metrics_follow_from_the_predictions(small_pipeline: Workspace) -> None:
    labels = [str(label) for label in arrays(small_pipeline, "test")["labels"]]
    details = [entry for entry in values(small_pipeline, paths.DETAILS) if entry["split"] == "test"]
    right = {}
    for name, entry in zip(MODELS, details, strict=True):
        table = rows(small_pipeline.path / paths.predictions(name))
        assert list(table[0]) == ["index", "label", "prediction", "confidence"]
        assert [row["label"] for row in table] == labels
        right[name] = np.array([row["prediction"] == row["label"] for row in table])
        found = values(small_pipeline, paths.metrics(name))
        assert found["test"].items() < entry.items()
        assert found["test"]["accuracy"] == pytest.approx(right[name].mean(), abs=1e-6)
        assert found["test"]["accuracy"] > 0.6
        by_label = rows(small_pipeline.path / paths.per_label(name))
        f1 = np.mean([float(row["f1"]) for row in by_label])
        assert (entry["model"], entry["macro_f1"]) == (name, pytest.approx(f1, abs=1e-5))
        # History ends with the validation metrics.
        history = rows(small_pipeline.path / paths.history(name))
        assert [row["epoch"] for row in history] == ["1", "2"]
        for key in ("accuracy", "loss"):
            ending = float(history[-1][f"val_{key}"])
            assert ending == pytest.approx(found["validation"][key], rel=1e-4)
    comparisons = values(small_pipeline, paths.COMPARISON)
    for name, comparison in zip(MODELS[1:], comparisons, strict=True):
        assert [comparison["baseline"], comparison["model"]] == [MODELS[0], name]
        baseline, model = right[MODELS[0]], right[name]
        assert comparison["both_right"] == np.sum(baseline & model)
        assert comparison["only_model_right"] == np.sum(model & ~baseline)


def test_no_validation_images_and_one_model(inside: Workspace) -> None:
    inside.set_params(**{"prepare.validation_size": 0, "evaluate.models": ["hidden"]})
    # Without starting TensorFlow for each.
    for script in (prepare, train_hidden, evaluate):
        files.write_all(script.main())
    assert [len(arrays(inside, split)["labels"]) for split in ("train", "validation")] == [1500, 0]
    assert values(inside, paths.metrics("hidden"))["validation"] == {}
    assert rows(inside.path / paths.history("hidden"))[0]["val_loss"] == ""
    assert values(inside, paths.COMPARISON) == []
    assert "test.accuracy" in inside.dvc("metrics", "show").stdout
    inside.dvc("plots", "show")


def test_other_layers_images_and_labels(
    inside: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With random numbers in training, too, the same seed gives the same bytes."""

    def build(shape: Any, num_labels: int, _: object) -> keras.Sequential:
        picture = [keras.Input((1680,)), layers.Reshape(shape), layers.RandomTranslation(0.1, 0.1)]
        convolution = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()]
        flat = [layers.Flatten(), layers.LayerNormalization(), layers.Dropout(0.2)]
        last = layers.Dense(num_labels, "softmax")
        return keras.Sequential([*picture, *convolution, *flat, last])

    inside.set_params(**{"evaluate.models": ["hidden"], "prepare.validation_size": 0})
    raw, names = dict(np.load(paths.raw("small"))), [f"$$ {number}" for number in range(1100)]
    for part in ("train", "test"):
        # Oblong, and in color.
        raw[f"x_{part}"] = raw[f"x_{part}"][:, :, 4:24, None] // np.array([20, 30, 40], np.uint8)
        raw[f"y_{part}"] = raw[f"y_{part}"] + np.uint16(995)
    np.savez(paths.raw("small"), names=np.array(names), **raw)
    files.write_all(prepare.main())
    assert capsys.readouterr().err.count("warning: data/raw/small.npz: ") == 2
    monkeypatch.setattr(train_hidden, "build", build)
    first, again = (train_hidden.main() for _ in range(2))
    assert first == again
    monkeypatch.setattr(train_hidden, "build", lambda *_: None)
    with pytest.raises(UserError, match=r"^stages/train_hidden\.py: the model maps None to None"):
        train_hidden.main()
    warning = "warning: LayerNormalization may give different bits on other machines\n"
    assert capsys.readouterr().err == 2 * warning
    files.write_all(first)
    drawn = evaluate.main()
    files.write_all(drawn)
    assert [row["label"] for row in rows(paths.per_label("hidden"))] == names
    assert sum(len(drawn[path]) for path in drawn if path.suffix == ".png") < 3_000_000


def test_the_terminal_shows_progress_and_no_chatter(small_pipeline: Workspace) -> None:
    printed = (small_pipeline.path / ".dvc/tmp/stdout").read_text()
    assert "small: 1200 images to train on, 300 to validate, 300 to test\n" in printed
    assert printed.count("\nepoch 2/2  loss ") == len(MODELS)
    assert (small_pipeline.path / ".dvc/tmp/stderr").read_text() == ""


def test_dvc_draws_each_file_once(small_pipeline: Workspace) -> None:
    # Where the environment is not .venv in the clone, too: it is not in this one.
    small_pipeline.dvc("plots", "show", "--out", "../plots")
    page = (small_pipeline.path.parent / "plots/index.html").read_text()
    names = [path.name for path in small_pipeline.path.glob("metrics/figures/*.png")]
    assert {page.count(f"workspace_metrics_figures_{name}") for name in names} == {1}
    charts = [json.loads(spec) for spec in re.findall(r"var spec = (.*);\n", page)]
    titles = [chart["title"]["text"] for chart in charts if chart]
    assert len(titles) == len(set(titles)) == CHARTS
