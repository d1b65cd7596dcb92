"""Where raw digits come from, and the digest that pins each dataset."""

import hashlib
import os
import socket
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.lib import files, paths, runtime
from stages.lib.errors import UserError

# SHA-256 over the four arrays of Digits: it does not matter where the bytes come from.
DIGESTS = {
    "mnist": "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
    "uci_digits": "e737c797815cec314c8c3f70f5fe253a2b79932a4f274c1e1cd7b8234d5f7049",
}
UCI_DIGITS = paths.RAW / "uci_digits.npz"
MNIST_DROP_IN = paths.RAW / "mnist.npz"
DOWNLOAD_TIMEOUT_SECONDS = 20


class Digits(NamedTuple):
    """A raw dataset: images uint8 (n, height, width), labels uint8 (n,) with values 0 to 9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class OutOfReachError(UserError):
    """MNIST is neither on this machine nor to be had over the network."""


def load(name: str) -> Digits:
    """Load the dataset `name`, one of DIGESTS, whose content is known to the last bit.

    Raises UserError if its file is unreadable or holds anything else, and OutOfReachError if MNIST
    is not at hand and cannot be downloaded.
    """
    if name == "uci_digits":
        return _read(UCI_DIGITS, name)
    if MNIST_DROP_IN.exists():
        return _read(MNIST_DROP_IN, name)
    try:
        return _read(_keras_cache(), name)
    except UserError:
        # Absent, or a download that was cut short: Keras fetches it anew.
        return _checked(download_mnist(), name, "the downloaded MNIST")


def mnist_at_hand() -> Path | None:
    """The MNIST file on this machine: the one dropped in by hand, else Keras's, else None."""
    return next((path for path in (MNIST_DROP_IN, _keras_cache()) if path.exists()), None)


def download_mnist(timeout: float = DOWNLOAD_TIMEOUT_SECONDS) -> Digits:
    """Have Keras download MNIST into its cache, with a progress bar, unless it is there already.

    A server that stays silent for `timeout` seconds counts as unreachable. Raises OutOfReachError.
    """
    runtime.start(portable=False)
    import keras

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout)
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:
        # Keras wraps some network errors in a bare Exception, others in OSError or ValueError.
        raise OutOfReachError(
            f"{MNIST_DROP_IN}: no such file, and MNIST cannot be downloaded "
            f"({files.first_line(error)}); put the file there, or run on the shipped digits with: "
            "dvc exp run -S prepare.dataset=uci_digits"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    return Digits(x_train, y_train, x_test, y_test)


def digest(digits: Digits) -> str:
    """SHA-256, in hexadecimal, over the bytes of the four arrays in C order."""
    sha256 = hashlib.sha256()
    for array in digits:
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


def _keras_cache() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets" / "mnist.npz"


def _read(path: Path, name: str) -> Digits:
    return _checked(Digits(*files.read_arrays(path, Digits._fields)), name, str(path))


def _checked(digits: Digits, name: str, source: str) -> Digits:
    for part in ("train", "test"):
        images, labels = getattr(digits, f"x_{part}"), getattr(digits, f"y_{part}")
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
            raise UserError(
                f"{source}: x_{part} is {images.dtype} {images.shape}, not uint8 (n, 28, 28)"
            )
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise UserError(
                f"{source}: y_{part} is {labels.dtype} {labels.shape}, not uint8 ({len(images)},)"
            )
        if labels.max(initial=0) > 9:
            raise UserError(f"{source}: y_{part} has the label {labels.max()}; labels are 0 to 9")
    if digest(digits) != DIGESTS[name]:
        raise UserError(f"{source}: its content is not {name}'s (SHA-256 {digest(digits)})")
    return digits
