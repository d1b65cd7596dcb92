"""Models and data -> metrics, predictions, the comparison and figures (metrics/)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from digits import comparison, files, metrics, model_files, params, paths, runtime, splits
from digits.errors import UserError
from digits.metrics import Predictions
from digits.model_files import Layer
from digits.run import run_stage
from digits.splits import Split


def predict(name: str, layers: list[Layer], data: Mapping[str, Split]) -> dict[str, Predictions]:
    """The predictions of one model for each split."""
    from digits import models

    logits = models.compiled_logits(layers)
    found = {split: logits(images) for split, (images, _) in data.items()}
    if not all(np.isfinite(values).all() for values in found.values()):
        raise UserError(f"{paths.model(name)}: the model's outputs are not finite; train it again")
    return {split: metrics.predictions(found[split], data[split].labels) for split in data}


def tables(name: str, predicted: Mapping[str, Predictions]) -> dict[Path, bytes]:
    """The metrics of one model, and its predictions for the test images."""
    test = predicted["test"]
    return {
        paths.metrics(name): files.json_bytes(
            {split: metrics.summary(predicted[split]) for split in ("validation", "test")}
        ),
        paths.details(name): files.json_bytes(
            {split: metrics.details(predicted[split]) for split in predicted}
            | {"train": metrics.summary(predicted["train"]) | metrics.details(predicted["train"])}
        ),
        paths.per_digit(name): files.csv_bytes(
            {"digit": range(splits.CLASSES)} | metrics.per_digit(test.confusion)._asdict()
        ),
        paths.predictions(name): files.csv_bytes(
            {
                "index": range(len(test.labels)),
                "label": test.labels,
                "prediction": test.digits,
                "confidence": test.confidence,
            }
        ),
    }


def pictures(
    images: np.ndarray, test: Mapping[str, Predictions], linear_kernel: np.ndarray
) -> dict[Path, bytes]:
    """The figures; `images` are those of the test set, float32 (n, pixels)."""
    from digits import figures

    dataset, count = params.dataset(), params.load(params.Evaluate).examples
    drawn = {
        "examples": figures.examples(dataset, images, test, count),
        "reliability": figures.reliability(dataset, test),
        "weights_linear": figures.weights(dataset, "linear", linear_kernel),
    }
    for name, predicted in test.items():
        drawn[f"confusion_{name}"] = figures.confusion(dataset, name, predicted)
        drawn[f"mistakes_{name}"] = figures.mistakes(dataset, name, images, predicted)
    return {paths.figure(name): content for name, content in drawn.items()}


def main() -> dict[Path, bytes]:
    portable = params.load(params.Runtime).portable
    data = splits.read_all(paths.SPLITS)
    images = data["test"].images
    layers = {name: model_files.read(name, images.shape[1]) for name in paths.MODELS}

    runtime.start(portable)
    predicted = {name: predict(name, layers[name], data) for name in paths.MODELS}
    test = {name: predicted[name]["test"] for name in paths.MODELS}
    outputs = pictures(images, test, layers["linear"][0].kernel)
    for name in paths.MODELS:
        outputs |= tables(name, predicted[name])
    compared = comparison.compare(test["linear"].correct, test["hidden"].correct)
    return outputs | {paths.COMPARISON: files.json_bytes(compared)}


if __name__ == "__main__":
    run_stage(main)
