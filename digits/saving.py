"""Models as byte-stable .keras files."""

import io
import json
import zipfile

import keras
from keras.src.saving import saving_lib

# What Keras writes differently each time.
VOLATILE = ("date_saved", "shared_object_id")


def to_bytes(model: keras.Sequential) -> bytes:
    """`model` as a .keras file whose bytes depend on nothing but the model.

    Keras stores the time of saving, also as the dates of the zip's entries, and a memory address.
    None of them is kept.
    """
    dated, stable = io.BytesIO(), io.BytesIO()
    # The public function accepts paths only.
    saving_lib.save_model(model, dated)
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(stable, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name.endswith(".json"):
                values = json.loads(content, object_hook=_without_volatile)
                content = json.dumps(values, sort_keys=True).encode()
            # ZipFile.open() dates an entry 1980-01-01.
            with target.open(name, "w") as member:
                member.write(content)
    return stable.getvalue()


def _without_volatile(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if key not in VOLATILE}
