"""Where everything is, relative to the top of the repository (dvc.yaml names the same files)."""

from pathlib import Path

RAW = Path("data/raw")
MODELS = ("linear", "hidden")
SPLITS = ("train", "validation", "test")
COMPARISON = Path("metrics/comparison.json")


def raw(dataset: str) -> Path:
    """A data set as it was published or collected."""
    return RAW / f"{dataset}.npz"


def prepared(split: str) -> Path:
    """Images and labels of one of SPLITS."""
    return Path(f"data/prepared/{split}.npz")


def model(name: str) -> Path:
    """One of MODELS, as Keras saves it."""
    return Path(f"models/{name}.keras")


def history(name: str) -> Path:
    """Loss and accuracy of one of MODELS by epoch."""
    return Path(f"metrics/history/{name}.csv")


def metrics(name: str) -> Path:
    """Accuracy and loss of one of MODELS on test and validation images: DVC's metrics."""
    return Path(f"metrics/{name}.json")


def details(name: str) -> Path:
    """All other metrics of one of MODELS, which would widen DVC's tables."""
    return Path(f"metrics/details/{name}.json")


def predictions(name: str) -> Path:
    """The predictions of one of MODELS for all test images."""
    return Path(f"metrics/predictions/{name}.csv")


def per_digit(name: str) -> Path:
    """Precision, recall and F1 of one of MODELS by digit."""
    return Path(f"metrics/per_digit/{name}.csv")


def figure(name: str) -> Path:
    """One of the figures."""
    return Path(f"metrics/figures/{name}.png")
