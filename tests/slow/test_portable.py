"""The same bytes on other processors: the stages natively, and as qemu-user emulates them."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import yaml

from stages.lib import paths, runtime
from tests.conftest import SMALL, STAGES, Workspace, cut_from_mnist

QEMU = shutil.which("qemu-x86_64")
PROCESSORS = ("Haswell", "EPYC", "Skylake-Server")
# All in one process, since an emulated import of TensorFlow takes half a minute.
RUN = f"from stages import {', '.join(STAGES)}\nfrom stages.lib import files\n" + "\n".join(
    f"files.write_all({stage}.main())" for stage in STAGES
)

pytestmark = [
    pytest.mark.skipif(
        runtime.unsupported_reason() is not None, reason="this machine computes other bits"
    ),
    pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed (Debian: qemu-user)"),
]


def hashes(workspace: Workspace) -> dict[str, str]:
    """Of every file that the stages write."""
    pipeline = yaml.safe_load((workspace.path / "dvc.yaml").read_text())["stages"]
    outputs = [
        out if isinstance(out, str) else next(iter(out))
        for stage in pipeline.values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    return {
        name: hashlib.sha256((workspace.path / name).read_bytes()).hexdigest() for name in outputs
    }


@pytest.fixture(scope="module")
def workspace(checkout: Callable[[], Workspace]) -> Workspace:
    """Everything at hand to run the stages, with the hidden layer at its real width.

    Half of the images are held out, since emulated training takes minutes.
    """
    made = checkout()
    (made.path / paths.raw("small")).write_bytes(cut_from_mnist())
    half = {"prepare.validation_size": 750, "train_hidden.units": 1000, "train_hidden.epochs": 1}
    made.set_params(**SMALL | half)
    return made


@pytest.fixture(scope="module")
def native(workspace: Workspace) -> dict[str, str]:
    """The hashes of what this machine's own processor computes."""
    workspace.run(sys.executable, "-c", RUN)
    computed = hashes(workspace)
    # 3 splits, 2 models, 2 histories, 5 files of metrics, 2 predictions, 2 per digit, 7 figures.
    assert len(computed) == 23
    return computed


@pytest.fixture(scope="module")
def emulated(
    workspace: Workspace, native: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Future[Workspace]]:
    """Runs on every processor, all at once: most of the time each keeps one core busy."""

    def run(processor: str) -> Workspace:
        elsewhere = workspace.copy(tmp_path_factory.mktemp(processor))
        for name in native:
            (elsewhere.path / name).unlink()
        elsewhere.run(QEMU or "", "-cpu", processor, sys.executable, "-c", RUN)
        return elsewhere

    with ThreadPoolExecutor(len(PROCESSORS)) as pool:
        return {processor: pool.submit(run, processor) for processor in PROCESSORS}


@pytest.mark.parametrize("processor", PROCESSORS)
def test_another_processor_computes_the_same_bytes(
    native: dict[str, str], emulated: dict[str, Future[Workspace]], processor: str
) -> None:
    assert hashes(emulated[processor].result()) == native
