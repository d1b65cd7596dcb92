"""The same bytes on other processors: the stages natively, and as qemu-user emulates them."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from stages.lib import runtime
from tests.conftest import SMALL, Workspace

QEMU = shutil.which("qemu-x86_64")
PROCESSORS = ("Haswell", "EPYC", "Skylake-Server")
STAGES = ("prepare", "train_linear", "train_hidden", "evaluate")
# All in one process, since an emulated import of TensorFlow takes half a minute.
RUN = f"from stages import {', '.join(STAGES)}\n" + "\n".join(f"{name}.main()" for name in STAGES)

pytestmark = [
    pytest.mark.skipif(
        runtime.obstacle_to_portability() is not None, reason="this machine computes other bits"
    ),
    pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed (Debian: qemu-user)"),
]


def hashes(workspace: Workspace) -> dict[str, str]:
    return {
        str(path.relative_to(workspace.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("data/prepared", "models", "metrics")
        for path in sorted((workspace.path / folder).rglob("*.*"))
        if path.name != ".gitignore"
    }


@pytest.fixture(scope="module")
def workspace(checkout: Callable[[], Workspace]) -> Workspace:
    """Everything at hand to run the stages, with the hidden layer at its real width.

    Half of the images are held out, since emulated training takes minutes.
    """
    made = checkout()
    made.set_params(
        **SMALL
        | {
            "prepare.validation_size": 750,
            "train_hidden.units": 1000,
            "train_hidden.epochs": 1,
        }
    )
    return made


@pytest.fixture(scope="module")
def native(workspace: Workspace) -> dict[str, str]:
    """The hashes of what this machine's own processor makes."""
    workspace.run(sys.executable, "-c", RUN)
    made = hashes(workspace)
    # 3 splits, 2 models, 2 histories, 3 scores, 2 predictions, 2 per digit, 7 pictures.
    assert len(made) == 21
    return made


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
def test_another_processor_makes_the_same_bytes(
    native: dict[str, str], emulated: dict[str, Future[Workspace]], processor: str
) -> None:
    assert hashes(emulated[processor].result()) == native
