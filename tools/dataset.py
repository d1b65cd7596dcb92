"""`make dataset NAME=fashion_mnist`: download a data set into data/raw/, and track it with DVC."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np

from digits import files, paths, runtime
from digits.datasets import Digits
from digits.errors import UserError
from digits.run import run_main

NAMES = ("mnist", "fashion_mnist")


def main() -> None:
    name = os.environ.get("NAME", "")
    if name not in NAMES:
        raise UserError(f"NAME is {name!r}; must be {' or '.join(NAMES)}: make dataset NAME=mnist")
    path = paths.raw(name)
    files.write(path, content(download(name)))
    if _in_git(path):
        print(f"{path} is written; Git tracks it.")
        return
    if subprocess.run(["dvc", "add", "--quiet", str(path)], check=False).returncode:
        raise UserError(f"{path} is written, but dvc add failed")
    print(f"{path} is written, and DVC tracks it: git add {path}.dvc {path.parent}/.gitignore")
    print(f"Train on it: dvc exp run -S prepare.dataset={name}")


def download(name: str) -> Digits:
    """One of NAMES, through `keras.datasets`. Raises UserError if it cannot be downloaded."""
    runtime.start(portable=False)
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras wraps some network errors in a bare Exception, others in OSError or ValueError.
        raise UserError(f"{name} cannot be downloaded ({files.first_line(error)})") from error
    return Digits(x_train, y_train, x_test, y_test)


def content(digits: Digits) -> bytes:
    """The data set as an .npz file; same arrays, same bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, **digits._asdict())
    return file.getvalue()


def _in_git(path: Path) -> bool:
    listed = subprocess.run(["git", "ls-files", "--", path], capture_output=True, check=True)
    return bool(listed.stdout)


if __name__ == "__main__":
    run_main(main)
