"""Save Keras models as reproducible bytes, and load them."""

import io
import json
import zipfile

import keras

# keras.saving wraps this, but accepts only paths.
from keras.src.saving import saving_lib

from digits.plumbing.errors import UserError, first_line

# Keras writes these entries of a model's description differently each time.
VOLATILE = ("date_saved", "shared_object_id")


def to_bytes(model: keras.Model) -> bytes:
    """Return `model` as a .keras file whose bytes depend on nothing but the model."""
    # Keras stores the time of saving, also as the dates of the zip's entries, and an address.
    dated, stable = io.BytesIO(), io.BytesIO()
    saving_lib.save_model(model, dated)
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(stable, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name.endswith(".json"):
                values = json.loads(content, object_pairs_hook=_without_volatile)
                content = json.dumps(values, sort_keys=True).encode()
            # ZipFile.open() dates an entry 1980-01-01.
            with target.open(name, "w") as member:
                member.write(content)
    return stable.getvalue()


def _without_volatile(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return {key: value for key, value in pairs if key not in VOLATILE}


def load(content: bytes, source: str, num_pixels: int, num_labels: int) -> keras.Model:
    """Load the model in the content of a .keras file, in Keras's safe mode.

    Raises UserError, which names `source`, if it is not such a file, or if the model does not
    map images float32 (n, num_pixels) to float32 (n, num_labels).
    """
    try:
        model = saving_lib.load_model(io.BytesIO(content), compile=False, safe_mode=True)
    except Exception as error:
        # Keras, zipfile and h5py each raise several kinds for a damaged file.
        raise UserError(f"{source}: Keras cannot load it ({first_line(error)})") from error
    check(model, source, num_pixels, num_labels)
    return model


def check(model: keras.Model, source: str, num_pixels: int, num_labels: int) -> None:
    """Raise UserError, which names `source`, if inputs or outputs of a model do not fit the data.

    They are float32 (n, num_pixels) and float32 (n, num_labels).
    """
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, num_pixels), (None, num_labels)):
        raise UserError(
            f"{source}: the model maps {shapes[0]} to {shapes[1]}, but the data set has "
            f"{num_pixels} pixels and {num_labels} labels; correct `build`, or train it again"
        )
