"""Raw digits -> data/prepared/: hold out a validation set, scale to 0..1, flatten."""

from pydantic import Field

from digits import data
from digits.plumbing import params, paths, terminal
from digits.plumbing.errors import UserError
from digits.plumbing.stage import Outputs, run_stage
from digits.portable import formats


class Settings(params.Group):
    """The data set, and how many of its training images are held out for validation."""

    dataset: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,100}$",
        description="the name of a file in data/raw/ without .npz: letters, digits, - and _",
    )
    validation_size: int = params.integer(0, 10_000_000)
    seed: int = params.seed()


def main() -> Outputs:
    settings = params.load("prepare", Settings)
    raw = data.read_raw(settings.dataset)
    for warning in data.data_warnings(raw):
        terminal.warn(f"{paths.raw(settings.dataset)}: {warning}")

    n = len(raw.x_train)
    if settings.validation_size >= n:
        raise UserError(
            f"{paths.PARAMS}: prepare.validation_size is {settings.validation_size}, but "
            f"{paths.raw(settings.dataset)} has {n} training images; at least one must remain"
        )
    train, validation = data.split_indices(n, settings.validation_size, settings.seed)
    counts = f"{len(train)} images to train on, {len(validation)} to validate"
    print(f"{settings.dataset}: {counts}, {len(raw.x_test)} to test")
    outputs = {
        paths.prepared(split): formats.array_bytes({"images": data.scale(images), "labels": labels})
        for split, images, labels in (
            ("train", raw.x_train[train], raw.y_train[train]),
            ("validation", raw.x_train[validation], raw.y_train[validation]),
            ("test", raw.x_test, raw.y_test),
        )
    }
    shape = raw.x_train.shape[1:]
    description = {"name": settings.dataset, "labels": raw.names, "shape": shape}
    return outputs | {paths.DATASET: formats.json_bytes(description)}


if __name__ == "__main__":
    run_stage(main)
