"""Models and data -> scores, predictions, the comparison and pictures (metrics/)."""

from stages.lib import files, model_files, params, paths, runtime, scoring, splits
from stages.lib.errors import report


def main() -> None:
    settings = params.load()
    data = splits.read_all(paths.SPLITS)
    images, labels = data["test"]
    for name in paths.MODELS:
        model_files.check(paths.model(name))

    runtime.start(settings.runtime.portable)
    from stages.lib import figures, models

    trained = {name: models.load(paths.model(name), images.shape[1]) for name in paths.MODELS}

    tested, predictions = {}, {}
    for name, model in trained.items():
        logits = models.compiled_logits(model)
        probabilities = {split: scoring.softmax(logits(data[split].images)) for split in data}
        files.write_json(
            paths.scores(name),
            {split: scoring.scores(probabilities[split], data[split].labels) for split in data},
        )
        tested[name] = probabilities["test"]
        predictions[name] = tested[name].argmax(axis=1)

        files.write_csv(
            paths.predictions(name),
            {
                "index": range(len(labels)),
                "label": labels,
                "prediction": predictions[name],
                "confidence": tested[name].max(axis=1),
            },
        )
        counts = scoring.confusion(predictions[name], labels)
        per_digit = {"digit": range(splits.CLASSES)} | scoring.per_digit(counts)._asdict()
        files.write_csv(paths.per_digit(name), per_digit)
        figures.confusion(paths.figure(f"confusion_{name}"), name, counts)
        figures.confidently_wrong(
            paths.figure(f"mistakes_{name}"), name, images, labels, tested[name]
        )

    right = {name: predicted == labels for name, predicted in predictions.items()}
    files.write_json(paths.COMPARISON, scoring.compare(right["linear"], right["hidden"]))

    shown = settings.evaluate.examples
    first = {name: predicted[:shown] for name, predicted in predictions.items()}
    figures.examples(paths.figure("examples"), images[:shown], labels[:shown], first)
    figures.weights(paths.figure("weights_linear"), "linear", trained["linear"].get_weights()[0])
    figures.reliability(paths.figure("reliability"), tested, labels)


if __name__ == "__main__":
    report(main)
