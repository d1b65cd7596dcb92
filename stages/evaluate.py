"""Models and data -> metrics, predictions, the comparison with the baseline, figures (metrics/)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from digits import data, metrics
from digits.data import Dataset
from digits.metrics import Predictions
from digits.plumbing import files, params, paths, terminal
from digits.plumbing.errors import UserError
from digits.plumbing.stage import Outputs, run_stage
from digits.portable import formats, runtime

# A function from images float32 (n, pixels) to logits float32 (n, labels); the weights
# float32 (pixels, labels) of a linear model.
Read = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray | None]


class Settings(params.Group):
    """The models, the baseline first, and how many images the example picture shows."""

    models: list[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]] = Field(
        min_length=1, description="a list of at least one name: small letters, digits and _"
    )
    examples: int = params.integer(1, 100)


def keras_model(content: bytes, source: str, dataset: Dataset, portable: bool) -> Read:
    """Read a .keras file."""
    from digits.portable import inference, saving

    model = saving.load(content, source, dataset.num_pixels, dataset.num_labels)
    compute = inference.logits(model, portable)

    def logits(images: np.ndarray) -> np.ndarray:
        values = compute(images)
        if count := inference.saturated(model, values):
            terminal.warn(
                f"{source}: several outputs are exactly 1 for {count} of {len(images)} images, so "
                "the saved model predicts different labels than those in metrics/; "
                "lower learning_rate"
            )
        return values

    return logits, inference.linear_kernel(model)


# What reads a model, by the end of the file's name.
KINDS = {".keras": keras_model}


def find(name: str) -> Path:
    """Return the path of a model of any kind."""
    candidates = [paths.model(name, kind) for kind in KINDS]
    return next(filter(Path.exists, candidates), candidates[0])


def predict(
    path: Path, content: bytes, dataset: Dataset, portable: bool
) -> tuple[dict[str, Predictions], np.ndarray | None]:
    """Return a model's predictions for each split, and its weights if it is linear."""
    compute, kernel = KINDS[path.suffix](content, str(path), dataset, portable)
    predicted = {}
    for split, (images, labels) in dataset.splits.items():
        logits = compute(images)
        if not np.isfinite(logits).all():
            raise UserError(f"{path}: the model's outputs are not finite; train it again")
        predicted[split] = metrics.predictions(logits, labels)
    return predicted, kernel


def tables(name: str, dataset: Dataset, predicted: Mapping[str, Predictions]) -> Outputs:
    """Return the metrics of one model, and its predictions."""
    scores = {split: metrics.summary(part) for split, part in predicted.items()}
    by_label = {"label": dataset.labels, **predicted["test"].per_label}
    outputs = {
        paths.metrics(name): formats.json_bytes(scores),
        paths.per_label(name): formats.csv_bytes(by_label),
    }
    for split, part in predicted.items():
        columns = {
            "index": range(len(part.labels)),
            "label": part.labels,
            "prediction": part.predicted,
            "confidence": part.confidence,
        }
        outputs[paths.predictions(name, split)] = formats.csv_bytes(columns)
    return outputs


def pictures(
    dataset: Dataset,
    test: Mapping[str, Predictions],
    kernels: Mapping[str, np.ndarray | None],
    examples: int,
) -> Outputs:
    """Return the figures of the test images."""
    from digits import figures

    images = dataset.splits["test"].images.reshape(-1, *dataset.shape)
    # Matplotlib takes text between two dollar signs for a formula.
    labels = tuple(label.replace("$", r"\$") for label in dataset.labels)
    dataset = dataset._replace(labels=labels)
    drawn = {
        "examples": figures.examples(dataset, images, test, examples),
        "reliability": figures.reliability(dataset, test),
    }
    for name, predictions in test.items():
        drawn[f"confusion_{name}"] = figures.confusion(dataset, name, predictions)
        drawn[f"mistakes_{name}"] = figures.mistakes(dataset, name, images, predictions)
        if (kernel := kernels[name]) is not None:
            drawn[f"weights_{name}"] = figures.weights(dataset, name, kernel)
    return {paths.figure(name): content for name, content in drawn.items()}


def main() -> Outputs:
    settings = params.load("evaluate", Settings)
    portable = params.load("runtime", runtime.Settings).portable
    dataset = data.read(("validation", "test"))
    models = {name: (path := find(name), files.read(path)) for name in settings.models}

    portable = runtime.start(portable)
    outputs: Outputs = {}
    test: dict[str, Predictions] = {}
    kernels: dict[str, np.ndarray | None] = {}
    details = []
    for name, (path, content) in models.items():
        predicted, kernels[name] = predict(path, content, dataset, portable)
        outputs |= tables(name, dataset, predicted)
        test[name] = predicted["test"]
        details += [
            {"model": name, "split": split, **metrics.summary(part), **metrics.details(part)}
            for split, part in predicted.items()
            if len(part.labels)
        ]
    outputs[paths.DETAILS] = formats.json_bytes(details)
    outputs[paths.COMPARISON] = formats.json_bytes(metrics.compare(settings.models[0], test))
    return outputs | pictures(dataset, test, kernels, settings.examples)


if __name__ == "__main__":
    run_stage(main)
