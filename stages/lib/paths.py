"""Where everything lies, relative to the top of the repository (dvc.yaml names the same files)."""

from pathlib import Path

RAW = Path("data/raw")
MODELS = ("linear", "hidden")
SPLITS = ("train", "validation", "test")
COMPARISON = Path("metrics/comparison.json")


def prepared(split: str) -> Path:
    """Images and labels of one of SPLITS."""
    return Path(f"data/prepared/{split}.npz")


def model(name: str) -> Path:
    """One of MODELS, as Keras saves it."""
    return Path(f"models/{name}.keras")


def history(name: str) -> Path:
    """Loss and accuracy of one of MODELS, epoch by epoch."""
    return Path(f"metrics/history/{name}.csv")


def scores(name: str) -> Path:
    """How well one of MODELS does on each split."""
    return Path(f"metrics/{name}.json")


def predictions(name: str) -> Path:
    """What one of MODELS says to every test image."""
    return Path(f"metrics/predictions/{name}.csv")


def per_digit(name: str) -> Path:
    """Precision, recall and F1 of one of MODELS, digit by digit."""
    return Path(f"metrics/per_digit/{name}.csv")


def figure(name: str) -> Path:
    """A picture."""
    return Path(f"metrics/figures/{name}.png")
