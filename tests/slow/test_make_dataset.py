"""`make dataset`, which takes what Keras has in its cache."""

import gzip
from pathlib import Path

import numpy as np

from digits import paths
from tests.conftest import Workspace


def idx(array: np.ndarray) -> bytes:
    """The format of the original MNIST, which Keras downloads Fashion-MNIST in."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), 1)


def test_make_dataset(small: Workspace, tmp_path: Path) -> None:
    """Any content will do."""
    cache = tmp_path / "keras/datasets/fashion-mnist"
    cache.mkdir(parents=True)
    made = np.load(small.path / paths.raw("small"))
    for part, prefix in (("train", "train"), ("test", "t10k")):
        (cache / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(made[f"x_{part}"]))
        (cache / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(made[f"y_{part}"]))
    path = "data/raw/fashion_mnist.npz"
    done = small.make("dataset", "NAME=fashion_mnist", env={"KERAS_HOME": str(tmp_path / "keras")})
    assert done.stdout.splitlines() == [
        f"{path} is written, and DVC tracks it: git add {path}.dvc data/raw/.gitignore",
        "Train on it: dvc exp run -S prepare.dataset=fashion_mnist",
    ]
    written = np.load(small.path / path)
    assert set(written) == set(made)
    for name in made:
        np.testing.assert_array_equal(written[name], made[name])
    small.run("git", "check-ignore", path)
    assert "md5: " in (small.path / f"{path}.dvc").read_text()
