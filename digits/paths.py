"""Where everything is, relative to the top of the project (dvc.yaml names the same files)."""

from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
DATASET = Path("data/prepared/dataset.json")
DETAILS = Path("metrics/details.json")
COMPARISON = Path("metrics/comparison.json")
FIGURES = Path("metrics/figures")


def raw(dataset: str) -> Path:
    """A data set as it was published or collected."""
    return RAW / f"{dataset}.npz"


def prepared(split: str) -> Path:
    """Images and labels of a split: train, validation or test."""
    return Path(f"data/prepared/{split}.npz")


def model(name: str) -> Path:
    """A model as Keras saves it."""
    return Path(f"models/{name}.keras")


def history(name: str) -> Path:
    """Loss and accuracy of a model by epoch."""
    return Path(f"metrics/history/{name}.csv")


def metrics(name: str) -> Path:
    """Accuracy and loss of a model on test and validation images: DVC's metrics."""
    return Path(f"metrics/{name}.json")


def predictions(name: str) -> Path:
    """The predictions of a model for all test images."""
    return Path(f"metrics/predictions/{name}.csv")


def per_label(name: str) -> Path:
    """Precision, recall and F1 of a model by label."""
    return Path(f"metrics/per_label/{name}.csv")


def figure(name: str) -> Path:
    """One of the figures."""
    return FIGURES / f"{name}.png"
