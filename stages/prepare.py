"""Raw digits -> data/prepared/: hold out a validation set, scale to 0..1, flatten."""

from stages.lib import datasets, params, splits
from stages.lib.errors import report
from stages.lib.splits import Split


def main() -> None:
    settings = params.load().prepare
    digits = datasets.load(settings.dataset)

    train, validation = splits.hold_out(
        len(digits.x_train), settings.validation_size, settings.seed
    )
    for name, images, labels in (
        ("train", digits.x_train[train], digits.y_train[train]),
        ("validation", digits.x_train[validation], digits.y_train[validation]),
        ("test", digits.x_test, digits.y_test),
    ):
        splits.write(name, Split(splits.scale(images), labels))

    print(
        f"{settings.dataset}: {len(train)} images to train on, {len(validation)} to validate, "
        f"{len(digits.x_test)} to test"
    )


if __name__ == "__main__":
    report(main)
