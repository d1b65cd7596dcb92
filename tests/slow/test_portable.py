"""The same bytes on other processors: the stages natively, and as qemu-user emulates them."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from digits import paths, runtime
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


def emulate(native: Workspace, folder: Path, processor: str, *stages: str) -> Workspace:
    """A copy in which another processor has run these stages again."""
    emulated = native.copy(folder)
    for stage in stages:
        for out in emulated.lock()[stage]["outs"]:
            (emulated.path / out["path"]).unlink()
    emulated.run_stages(*stages, before=[QEMU or "", "-cpu", processor])
    return emulated


def test_the_oldest_processor_computes_the_same_bytes(native: Workspace, tmp_path: Path) -> None:
    """Haswell was the first with AVX2 and FMA."""
    emulated = emulate(native, tmp_path, "Haswell", *STAGES)
    assert hashes(emulated) == hashes(native)


def test_a_processor_of_another_make_trains_the_same_model(
    native: Workspace, tmp_path: Path
) -> None:
    emulated = emulate(native, tmp_path, "EPYC", "train_hidden")
    assert hashes(emulated) == hashes(native)
