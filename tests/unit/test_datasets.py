import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.lib import datasets, files
from stages.lib.errors import UserError
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository without data, an empty Keras cache, a network that answers nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    # urllib remembers the first proxy it was told of.
    monkeypatch.setattr("urllib.request._opener", None)


def drop_in(arrays: dict[str, np.ndarray]) -> None:
    files.write_arrays(datasets.MNIST_DROP_IN, arrays)


def tiny() -> dict[str, np.ndarray]:
    return {
        "x_train": np.zeros((4, 28, 28), np.uint8),
        "y_train": np.arange(4, dtype=np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.arange(2, dtype=np.uint8),
    }


def test_the_shipped_digits() -> None:
    datasets.UCI_DIGITS.parent.mkdir(parents=True)
    shutil.copy(ROOT / datasets.UCI_DIGITS, datasets.UCI_DIGITS)
    digits = datasets.load("uci_digits")
    assert digits.x_train.shape == (1500, 28, 28)
    assert digits.x_test.shape == (297, 28, 28)
    assert set(digits.y_train) == set(digits.y_test) == set(range(10))
    assert digits.x_train.max() == 255


def test_mnist_dropped_in(mnist_file: Path) -> None:
    datasets.MNIST_DROP_IN.parent.mkdir(parents=True)
    datasets.MNIST_DROP_IN.symlink_to(mnist_file)
    digits = datasets.load("mnist")
    assert [len(part) for part in digits] == [60_000, 60_000, 10_000, 10_000]
    assert list(digits.y_train[:5]) == [5, 0, 4, 1, 9]


def test_mnist_in_kerass_cache(mnist_file: Path, tmp_path: Path) -> None:
    cached = tmp_path / "keras/datasets/mnist.npz"
    cached.parent.mkdir(parents=True)
    cached.symlink_to(mnist_file)
    assert datasets.mnist_at_hand() == cached
    assert list(datasets.load("mnist").y_test[:5]) == [7, 2, 1, 0, 4]


def test_one_altered_pixel_is_noticed(mnist_file: Path) -> None:
    arrays = {name: array.copy() for name, array in np.load(mnist_file).items()}
    arrays["x_test"][-1, 14, 14] ^= 1
    drop_in(arrays)
    with pytest.raises(UserError, match=r"data/raw/mnist\.npz: its content is not mnist's"):
        datasets.load("mnist")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_test": np.array([3, 10], np.uint8)}, "y_test has the label 10; labels are 0 to 9"),
        ({"y_test": np.array([3, 4, 5], np.uint8)}, r"y_test is uint8 \(3,\), not uint8 \(2,\)"),
        ({"y_train": np.zeros(4)}, "y_train is float64"),
        ({"x_train": np.zeros((4, 784), np.uint8)}, r"x_train is uint8 \(4, 784\), not uint8"),
        ({"x_test": np.zeros((2, 28, 28), np.float32)}, "x_test is float32"),
        ({}, "its content is not mnist's"),
    ],
)
def test_a_dropped_in_file_that_holds_something_else(
    change: dict[str, np.ndarray], message: str
) -> None:
    drop_in(tiny() | change)
    with pytest.raises(UserError, match=rf"data/raw/mnist\.npz: {message}"):
        datasets.load("mnist")


def test_a_dropped_in_file_without_an_array() -> None:
    arrays = tiny()
    del arrays["y_test"]
    drop_in(arrays)
    with pytest.raises(UserError, match=r"data/raw/mnist\.npz: y_test is not a file"):
        datasets.load("mnist")


def test_pickled_objects_are_refused() -> None:
    datasets.MNIST_DROP_IN.parent.mkdir(parents=True)
    objects: Any = tiny() | {"y_test": np.array([{}, {}], dtype=object)}
    np.savez(datasets.MNIST_DROP_IN, **objects)
    with pytest.raises(UserError, match=r"data/raw/mnist\.npz: .*allow_pickle=False"):
        datasets.load("mnist")


@pytest.mark.usefixtures("tensorflow_started")
def test_without_file_cache_and_network_both_ways_out_are_named() -> None:
    with pytest.raises(datasets.OutOfReachError) as error:
        datasets.load("mnist")
    message = str(error.value)
    assert "put the file there" in message
    assert "dvc exp run -S prepare.dataset=uci_digits" in message
    assert len(message.splitlines()) == 1


@pytest.mark.usefixtures("tensorflow_started")
def test_a_network_that_swallows_everything_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy accepts the connection and then says nothing, for as long as we care to wait."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        connections = []
        listener = threading.Thread(target=lambda: connections.append(silent.accept()), daemon=True)
        listener.start()
        with pytest.raises(datasets.OutOfReachError, match="timed out"):
            datasets.download_mnist(timeout=0.5)
        listener.join()
        connections[0][0].close()
    assert socket.getdefaulttimeout() is None
