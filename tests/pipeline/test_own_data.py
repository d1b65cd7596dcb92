"""Data of one's own: a file in data/raw/, by its name."""

import gzip
import json
from pathlib import Path

import numpy as np

from stages.lib import paths
from tests.conftest import Workspace, cut_from_mnist

SMALL_DATA = str(paths.raw("small"))


def test_a_data_set_of_ones_own(small: Workspace, tmp_path: Path) -> None:
    """As docs/data.md walks it; `small_pipeline` has gone the first steps."""
    differences = json.loads(small.dvc("metrics", "diff", "--json", "HEAD~1").stdout)
    assert set(differences) == {str(paths.metrics(name)) for name in paths.MODELS}
    small.dvc("push")

    second = small.clone(tmp_path / "second")
    assert not (second.path / SMALL_DATA).exists()
    second.dvc("pull")
    assert second.repro() == []
    assert second.outputs() == small.outputs()

    def recorded() -> object:
        deps = second.lock()["prepare"]["deps"]
        return next(dep["md5"] for dep in deps if dep["path"] == SMALL_DATA)

    first_version = recorded()
    (second.path / SMALL_DATA).write_bytes(cut_from_mnist(start=7000))
    second.dvc("add", SMALL_DATA)
    assert second.repro("prepare") == ["prepare"]
    assert recorded() != first_version
    modified = json.loads(second.dvc("diff", "--json").stdout)["modified"]
    assert SMALL_DATA in [entry["path"] for entry in modified]


def idx(array: np.ndarray) -> bytes:
    """The format of the original MNIST, which Keras downloads Fashion-MNIST in."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), 1)


def test_make_dataset(small: Workspace, tmp_path: Path) -> None:
    """Keras finds in its cache what it would download otherwise; any content will do."""
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
