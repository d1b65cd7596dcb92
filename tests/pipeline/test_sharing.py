"""The default remote, ~/dvc-storage/digits: what one clone pushes, others need not run."""

import shutil

import pytest

from stages.lib import paths
from tests.conftest import WIDE, Workspace

LINEAR, HIDDEN = (str(paths.model(name)) for name in paths.MODELS)


@pytest.fixture(scope="module")
def origin(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A clone of a bare Git repository, ../hub."""
    workspace = small_pipeline.copy(tmp_path_factory.mktemp("shared"))
    workspace.run("git", "clone", "--quiet", "--bare", ".", "../hub")
    workspace.run("git", "remote", "add", "origin", "../hub")
    return workspace


@pytest.fixture
def shared(origin: Workspace) -> Workspace:
    """The same, with an empty remote; other clones are made beside it and share its home."""
    shutil.rmtree(origin.home / "dvc-storage", ignore_errors=True)
    for name in ("b", "consumer"):
        shutil.rmtree(origin.path.parent / name, ignore_errors=True)
    return origin


def clone(shared: Workspace) -> Workspace:
    b = Workspace(shared.path.parent / "b")
    shared.run("git", "clone", "--quiet", "../hub", b.path)
    return b


def test_an_experiment_travels_with_its_files(shared: Workspace) -> None:
    shared.dvc("exp", "push", "origin", "wide")
    b = clone(shared)
    b.dvc("exp", "pull", "origin", "wide")
    b.dvc("exp", "apply", "wide")
    assert f"units: {WIDE} " in (b.path / "params.yaml").read_text()
    assert (b.path / HIDDEN).read_bytes() != (shared.path / HIDDEN).read_bytes()
    assert (b.path / LINEAR).read_bytes() == (shared.path / LINEAR).read_bytes()
    assert b.repro() == []


def test_all_branches(shared: Workspace) -> None:
    shared.dvc("push", "--all-branches")
    b = clone(shared)
    b.run("git", "branch", "--quiet", "wide", "origin/wide")
    b.dvc("fetch", "--all-branches")
    # From here on, everything is in the cache.
    shutil.rmtree(shared.home / "dvc-storage")
    b.dvc("checkout")
    assert b.outputs() == shared.outputs()
    b.run("git", "switch", "--quiet", "wide")
    b.dvc("checkout")
    assert (b.path / HIDDEN).read_bytes() != (shared.path / HIDDEN).read_bytes()


def test_a_model_without_a_clone(shared: Workspace) -> None:
    shared.dvc("push")
    assert shared.run("git", "status", "--porcelain").stdout == ""
    shared.run("git", "tag", "--annotate", "--message", "First", "linear@v1.0.0")
    shared.run("git", "push", "--quiet", "origin", "linear@v1.0.0")
    consumer = Workspace(shared.path.parent / "consumer")
    consumer.path.mkdir()
    consumer.dvc("artifacts", "get", "../hub", "linear", "--rev", "v1.0.0", "-o", "linear.keras")
    consumer.dvc("get", "../hub", "models/hidden.keras", "--rev", "linear@v1.0.0")
    for name in ("linear", "hidden"):
        got = (consumer.path / f"{name}.keras").read_bytes()
        assert got == (shared.path / f"models/{name}.keras").read_bytes()


def test_what_was_pushed_is_run_nowhere_else(shared: Workspace) -> None:
    """Even what is not checked out: `make push` sends all runs that DVC remembers."""
    done = shared.make("push")
    assert "files pushed, and the records of 6 runs" in done.stdout
    b = clone(shared)
    b.set_params(**{"train_hidden.units": WIDE})
    assert b.repro("--pull") == []
    assert (b.path / HIDDEN).read_bytes() != (shared.path / HIDDEN).read_bytes()
