"""Paths, relative to the project root (dvc.yaml names the same files)."""

from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
DATASET = Path("data/prepared/dataset.json")
DETAILS = Path("metrics/details.json")
COMPARISON = Path("metrics/comparison.json")
FIGURES = Path("metrics/figures")
METRICS = Path("metrics")
MODELS = Path("models")
PREDICTIONS = Path("metrics/predictions")


def raw(dataset: str) -> Path:
    """Return the path of a data set as it was published or collected."""
    return RAW / f"{dataset}.npz"


def prepared(split: str) -> Path:
    """Return the path of the images and labels of a split: train, validation or test."""
    return Path(f"data/prepared/{split}.npz")


def model(name: str, kind: str = ".keras") -> Path:
    """Return the path of a model, by default as Keras saves it."""
    return MODELS / f"{name}{kind}"


def unfinished(name: str, inputs: str) -> Path:
    """Return the path of the state of a training that goes on after a kill, given its inputs."""
    return Path(f".unfinished/{name}/{inputs}.npz")


def history(name: str) -> Path:
    """Return the path of a model's loss and accuracy by epoch."""
    return Path(f"metrics/history/{name}.csv")


def metrics(name: str) -> Path:
    """Return the path of a model's accuracy and loss, test and validation: DVC's metrics."""
    return Path(f"metrics/{name}.json")


def predictions(name: str, split: str = "test") -> Path:
    """Return the path of a model's predictions for all test or validation images."""
    return PREDICTIONS / f"{name}{'' if split == 'test' else f'.{split}'}.csv"


def per_label(name: str) -> Path:
    """Return the path of a model's precision, recall and F1 by label."""
    return Path(f"metrics/per_label/{name}.csv")


def figure(name: str) -> Path:
    """Return the path of a figure."""
    return FIGURES / f"{name}.png"
