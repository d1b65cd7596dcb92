"""The same bytes on other processors: the stages natively, and as qemu-user emulates them."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.lib import paths, runtime
from tests.conftest import SMALL, STAGES, Workspace, cut_from_mnist

QEMU = shutil.which("qemu-x86_64")
pytestmark = [
    pytest.mark.skipif(
        runtime.unsupported_reason() is not None, reason="this machine computes other bits"
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
def native(checkout: Callable[[], Workspace]) -> Workspace:
    """What this machine's own processor computes, with the hidden layer at its real width.

    Half of the images are held out, since emulated training takes minutes.
    """
    workspace = checkout()
    (workspace.path / paths.raw("small")).write_bytes(cut_from_mnist())
    half = {"prepare.validation_size": 750, "train_hidden.units": 1000, "train_hidden.epochs": 1}
    workspace.set_params(**SMALL | half)
    workspace.run_stages(*STAGES)
    # 3 splits, 2 models, 2 histories, 5 files of metrics, 2 predictions, 2 per digit, 7 figures.
    assert len(hashes(workspace)) == 23
    return workspace


@pytest.mark.parametrize("processor", ["Haswell", "EPYC"])
def test_another_processor_computes_the_same_bytes(
    native: Workspace, processor: str, tmp_path: Path
) -> None:
    emulated = native.copy(tmp_path)
    for name in hashes(native):
        (emulated.path / name).unlink()
    emulated.run_stages(*STAGES, before=[QEMU or "", "-cpu", processor])
    assert hashes(emulated) == hashes(native)
