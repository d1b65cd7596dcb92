"""`make dataset NAME=fashion_mnist`: download a data set into data/raw/, and track it with DVC."""

import io
import os
import subprocess
import sys

import numpy as np

from digits import data
from digits.plumbing import files, paths
from digits.plumbing.errors import UserError, first_line
from digits.plumbing.stage import run_main
from digits.portable import runtime
from revisions.files import git

# The label names of each data set that can be downloaded. The clothes are from Xiao,
# Rasul and Vollgraf (2017), "Fashion-MNIST: a novel image dataset for benchmarking machine learning
# algorithms", table 2.
NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


def main() -> None:
    name = os.environ.get("NAME", "")
    path = paths.raw(name)
    if name not in NAMES:
        hint = f"; {path} is there already" if path.is_file() else ""
        raise UserError(f"NAME is {name!r}; only {' and '.join(NAMES)} can be downloaded{hint}")
    files.write(path, content(download(name)))
    if git("ls-files", str(path)):
        print(f"Wrote {path} (tracked by Git).")
        return
    add = [sys.executable, "-m", "dvc", "add", "--quiet", str(path)]
    if subprocess.run(add, check=False).returncode:
        raise UserError(f"wrote {path}, but dvc add failed")
    print(
        f"Wrote {path} (tracked by DVC). Commit that, then train on it:\n"
        f"  git add {path}.dvc {path.parent}/.gitignore\n"
        f'  git commit -m "Add {name}"\n'
        f"  dvc exp run -S prepare.dataset={name}"
    )


def download(name: str) -> data.RawData:
    """Download a data set through `keras.datasets`. Raises UserError if that fails."""
    runtime.start(portable=False)
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras wraps some network errors in a bare Exception, others in OSError or ValueError.
        raise UserError(f"{name} cannot be downloaded ({first_line(error)})") from error
    return data.RawData(x_train, y_train, x_test, y_test, NAMES[name])


def content(raw: data.RawData) -> bytes:
    """Return the data set as an .npz file, with `names` only if they are not "0", "1", ..."""
    arrays = raw._asdict()
    if raw.names == tuple(map(str, range(int(raw.y_train.max()) + 1))):
        del arrays["names"]
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


if __name__ == "__main__":
    run_main(main)
