"""What one clone pushes, others pull: over a folder beside them, over S3 and over SSH."""

import sys
from pathlib import Path

import pytest

from tests.conftest import SMALL, Workspace
from tests.servers import S3Server, SSHServer, folder_remote

FEW = {"evaluate.examples": 10}
EXAMPLES = Path("metrics/figures/examples.png")


@pytest.fixture(scope="session")
def published(small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished run, and another in DVC's records, which draws fewer examples. Change a copy."""
    workspace = small_pipeline.copy(tmp_path_factory.mktemp("published"))
    workspace.set_params(**FEW)
    assert workspace.repro() == ["evaluate"]
    workspace.run("git", "restore", ".")
    workspace.dvc("checkout")
    return workspace


@pytest.mark.parametrize("kind", ["folder", "s3", "ssh"])
def test_nothing_is_run_twice(
    published: Workspace, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    a = published.copy(tmp_path)
    if kind == "folder":
        # As .dvc/config has it: beside the clones.
        remote = folder_remote(tmp_path / "dvc-storage")
    else:
        server: S3Server | SSHServer = request.getfixturevalue(f"{kind}_server")
        remote = server.remote("round-trip")
        a.share_through(remote)
    shared = remote.environment
    a.dvc("push", "--run-cache", env=shared)
    assert a.run("git", "status", "--porcelain").stdout == ""

    b = a.clone(tmp_path / "b")
    b.dvc("pull", "--run-cache", env=shared)
    assert b.outputs() == a.outputs()
    assert b.repro() == []

    if kind == "folder":
        # Of a commit that is not checked out, DVC takes a relative path from the top of the disk.
        for clone in (a, b):
            clone.dvc("remote", "modify", "--local", "storage", "url", remote.url)
    before = b.outputs()
    hub = tmp_path / "hub"
    b.run("git", "clone", "--quiet", "--bare", a.path, hub)
    a.dvc("exp", "run", "--name", "few", "-S", "evaluate.examples=10")
    a.dvc("exp", "push", str(hub), "few", env=shared)
    b.dvc("exp", "pull", str(hub), "few", env=shared)
    b.dvc("exp", "apply", "few", env=shared)
    assert "examples: 10 " in (b.path / "params.yaml").read_text()
    assert b.outputs() == a.outputs() != before
    assert (b.path / EXAMPLES).read_bytes() in remote.objects().values()
    assert b.repro() == []

    # What C has in Git is another run; then it asks for what A has run, to the last file.
    a.run(sys.executable, "-m", "tools.push", env=shared)
    c = a.clone(tmp_path / "c")
    c.run("git", "restore", "--source", ":/The repository as it is", "params.yaml", "dvc.lock")
    c.set_params(**SMALL)
    done = c.dvc("repro", "--pull", env=shared)
    assert "Running stage" not in done.stdout
    assert c.outputs() == before
