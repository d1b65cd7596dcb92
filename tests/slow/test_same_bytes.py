"""The same commit gives the same bytes, whoever runs it, where, when and on which processor."""

import os
import shutil
from pathlib import Path

import pytest

from digits.portable import runtime
from tests.conftest import Checkout, Workspace
from tests.unit.test_training import train_apart

# The first processor with AVX2 and FMA.
HASWELL = ("qemu-x86_64", "-cpu", "Haswell")
needs_qemu = pytest.mark.skipif(
    not shutil.which("qemu-x86_64"), reason="qemu-x86_64 is not installed (Debian: qemu-user)"
)
# These would stop TensorFlow, Keras or Matplotlib, or change the bits, if they reached them.
CIRCUMSTANCES = {
    "FREETYPE_PROPERTIES": "truetype:interpreter-version=35",
    "KERAS_BACKEND": "jax",
    "LC_ALL": "C",
    "MPLBACKEND": "nonsense",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "PYTHONHASHSEED": "12345",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_NUM_INTRAOP_THREADS": "5",
    "TZ": "Pacific/Kiritimati",
    "XLA_FLAGS": "--nonsense",
}
KERAS_JSON = '{"floatx": "float16", "epsilon": 0.1, "backend": "jax", "nnx_enabled": true}'
pytestmark = pytest.mark.skipif(
    runtime.unsupported_reason() is not None, reason="this machine computes other bits"
)


def test_the_committed_results(mnist_pipeline: Workspace) -> None:
    assert mnist_pipeline.run("git", "status", "--porcelain").stdout == ""
    for name in ("examples.png", "mistakes_hidden.png"):
        drawn = (mnist_pipeline.path / "metrics/figures" / name).read_bytes()
        assert drawn == (mnist_pipeline.path / "docs" / name).read_bytes(), "make pictures"


def test_other_circumstances(small_pipeline: Workspace, checkout: Checkout, tmp_path: Path) -> None:
    """Another folder, home, environment and number of cores; nothing cached."""
    elsewhere = checkout()
    elsewhere.use_small_data()
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(KERAS_JSON)
    (tmp_path / ".config/matplotlib").mkdir(parents=True)
    (tmp_path / ".config/matplotlib/matplotlibrc").write_bytes(b"font.size: huge\n\xff")
    one_core = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))
    elsewhere.run_stages(*one_core, env=CIRCUMSTANCES | {"HOME": str(tmp_path)})
    for name, content in small_pipeline.outputs().items():
        assert (elsewhere.path / name).read_bytes() == content, name


@needs_qemu
def test_the_oldest_processor(checkout: Checkout, tmp_path: Path) -> None:
    """The hidden layer has its real width here."""
    # Half of the images are held out, since emulated training takes minutes.
    half = {"prepare.validation_size": 750, "train_hidden.units": 1000, "train_hidden.epochs": 1}
    native = checkout()
    native.use_small_data(**half)
    emulated = native.copy(tmp_path)
    native.run_stages(env={})
    emulated.run_stages(*HASWELL, env={})
    assert len(native.outputs()) > 20
    assert emulated.outputs() == native.outputs()


@needs_qemu
def test_layers_and_augmentation_on_the_oldest_processor(tmp_path: Path) -> None:
    assert train_apart(tmp_path) == train_apart(tmp_path, *HASWELL)
