"""Models and data -> metrics, predictions, the comparison with the baseline, figures (metrics/)."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from digits import data, files, formats, metrics, params, paths, runtime
from digits.data import DataSet, Split
from digits.errors import UserError
from digits.metrics import Predictions
from digits.stage import Outputs, run_stage


class Settings(params.Group):
    """The models, the baseline first, and how many images the example picture shows."""

    models: list[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]] = Field(
        min_length=1, description="a list of at least one name: small letters, digits and _"
    )
    examples: int = params.integer(1, 100)


def predict(
    name: str, content: bytes, labels: int, splits: Mapping[str, Split], portable: bool
) -> tuple[dict[str, Predictions], np.ndarray | None]:
    """The predictions of the model in `content` for each split, and its weights if it is linear."""
    from digits import models

    path = paths.model(name)
    model = models.load(content, str(path), splits["test"].images.shape[1], labels)
    kernel = models.linear_kernel(model)
    logits = models.logits(model, portable)
    found = {split: logits(images) for split, (images, _) in splits.items()}
    if not all(np.isfinite(values).all() for values in found.values()):
        raise UserError(f"{path}: the model's outputs are not finite; train it again")
    predicted = {split: metrics.predictions(found[split], splits[split].labels) for split in splits}
    return predicted, kernel


def tables(name: str, dataset: DataSet, predicted: Mapping[str, Predictions]) -> Outputs:
    """The metrics of one model, and its predictions for the test images."""
    test = predicted["test"]
    return {
        paths.metrics(name): formats.json_bytes(
            {split: metrics.summary(predicted[split]) for split in ("validation", "test")}
        ),
        paths.per_label(name): formats.csv_bytes(
            {"label": dataset.labels, **metrics.per_label(test.confusion)}
        ),
        paths.predictions(name): formats.csv_bytes(
            {
                "index": range(len(test.labels)),
                "label": test.labels,
                "prediction": test.predicted,
                "confidence": test.confidence,
            }
        ),
    }


def pictures(
    dataset: DataSet,
    images: np.ndarray,
    test: Mapping[str, Predictions],
    kernels: Mapping[str, np.ndarray | None],
    examples: int,
) -> Outputs:
    """The figures; `images` are those of the test set, float32 (n, pixels)."""
    from digits import figures

    # To Matplotlib, text between two dollar signs is a formula.
    labels = tuple(label.replace("$", r"\$") for label in dataset.labels)
    dataset = dataset._replace(labels=labels)
    drawn = {
        "examples": figures.examples(dataset, images, test, examples),
        "reliability": figures.reliability(dataset, test),
    }
    for name, found in test.items():
        drawn[f"confusion_{name}"] = figures.confusion(dataset, name, found)
        drawn[f"mistakes_{name}"] = figures.mistakes(dataset, name, images, found)
        if (kernel := kernels[name]) is not None:
            drawn[f"weights_{name}"] = figures.weights(dataset, name, kernel)
    return {paths.figure(name): content for name, content in drawn.items()}


def main() -> Outputs:
    settings = params.load("evaluate", Settings)
    portable = params.load("runtime", runtime.Settings).portable
    dataset, splits = data.read(("validation", "test"))
    contents = {name: files.read(paths.model(name)) for name in settings.models}

    portable = runtime.start(portable)
    predicted: dict[str, dict[str, Predictions]] = {}
    kernels: dict[str, np.ndarray | None] = {}
    outputs: Outputs = {}
    for name, content in contents.items():
        predicted[name], kernels[name] = predict(
            name, content, len(dataset.labels), splits, portable
        )
        outputs |= tables(name, dataset, predicted[name])
    test = {name: found["test"] for name, found in predicted.items()}
    details = [
        {"model": name, "split": split, **metrics.summary(found), **metrics.details(found)}
        for name, found_in in predicted.items()
        for split, found in found_in.items()
        if len(found.labels)
    ]
    return (
        outputs
        | pictures(dataset, splits["test"].images, test, kernels, settings.examples)
        | {
            paths.DETAILS: formats.json_bytes(details),
            paths.COMPARISON: formats.json_bytes(metrics.compare(settings.models[0], test)),
        }
    )


if __name__ == "__main__":
    run_stage(main)
