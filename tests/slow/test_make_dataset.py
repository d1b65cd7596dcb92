"""`make dataset`, which takes from Keras's cache or downloads."""

import gzip
from pathlib import Path

import numpy as np

from digits import data
from digits.plumbing import paths
from tests.conftest import Workspace
from tools import dataset

RAW = "data/raw/fashion_mnist.npz"


def idx(array: np.ndarray) -> bytes:
    """The format of the original MNIST, which Keras downloads Fashion-MNIST in."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), 1)


def test_make_dataset(small: Workspace, tmp_path: Path) -> None:
    for name, problem in (
        ("small", "NAME is 'small'; only mnist and fashion_mnist can be downloaded"),
        ("fashion_mnist", "fashion_mnist cannot be downloaded ("),
    ):
        said = small.make("dataset", f"NAME={name}", status=2).stderr
        assert said.startswith(f"error: {problem}")

    # Any content will do.
    cache = tmp_path / "keras/datasets/fashion-mnist"
    cache.mkdir(parents=True)
    arrays = np.load(small.path / "data/raw/small.npz")
    for part, prefix in (("train", "train"), ("test", "t10k")):
        (cache / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(arrays[f"x_{part}"]))
        (cache / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(arrays[f"y_{part}"]))
    env = {"KERAS_HOME": str(tmp_path / "keras")}
    said = small.make("dataset", "NAME=fashion_mnist", env=env).stdout
    written = np.load(small.path / RAW)
    np.testing.assert_array_equal(written["x_train"], arrays["x_train"])
    assert [*written["names"][[0, 9]], len(written["names"])] == ["T-shirt/top", "Ankle boot", 10]

    # Its commands commit the data set, and leave the data out of Git.
    add, commit, _ = said.splitlines()[1:]
    small.run("sh", "-ec", f"{add}\n{commit}")
    assert small.run("git", "status", "--porcelain").stdout == ""
    assert RAW not in small.run("git", "ls-files").stdout.splitlines()


def test_mnist_is_written_as_it_is_committed() -> None:
    assert dataset.content(data.read_raw("mnist")) == paths.raw("mnist").read_bytes()
