"""Raw digits -> data/prepared/: hold out a validation set, scale to 0..1, flatten."""

from pathlib import Path

from digits import datasets, files, params, paths, splits
from digits.errors import UserError
from digits.run import run_stage


def main() -> dict[Path, bytes]:
    settings = params.load(params.Prepare)
    digits = datasets.read(settings.dataset)

    n = len(digits.x_train)
    if settings.validation_size >= n:
        raise UserError(
            f"{params.PATH}: prepare.validation_size is {settings.validation_size}, but "
            f"{paths.raw(settings.dataset)} has {n} training images; at least one must remain"
        )
    train, validation = splits.hold_out(n, settings.validation_size, settings.seed)
    print(
        f"{settings.dataset}: {len(train)} images to train on, {len(validation)} to validate, "
        f"{len(digits.x_test)} to test"
    )
    return {
        paths.prepared(name): files.array_bytes({"images": splits.scale(images), "labels": labels})
        for name, images, labels in (
            ("train", digits.x_train[train], digits.y_train[train]),
            ("validation", digits.x_train[validation], digits.y_train[validation]),
            ("test", digits.x_test, digits.y_test),
        )
    }


if __name__ == "__main__":
    run_stage(main)
