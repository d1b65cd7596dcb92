"""What is edited while `prepare` runs: it fails and writes nothing. tests/slow has other stages.

Named pipes hold it where it reads params.yaml for the first and the second time.
"""

import subprocess
import sys
from collections.abc import Callable

from tests.conftest import Workspace
from tests.pipes import put_pipe, wait_for_reader

Edit = Callable[[Workspace], object]


def append(workspace: Workspace, name: str) -> None:
    """Add a line to a file."""
    with (workspace.path / name).open("ab") as file:
        file.write(b"\n")


def prepare_and_edit(workspace: Workspace, edit: Edit) -> subprocess.CompletedProcess[str]:
    """Run `prepare`, and edit something after it has read its input."""
    params = workspace.path / "params.yaml"
    content = params.read_bytes()
    put_pipe(params)
    with workspace.start(sys.executable, "-m", "stages.prepare") as stage:
        with wait_for_reader(params, stage) as pipe:
            put_pipe(params)
            pipe.write(content)
        with wait_for_reader(params, stage) as pipe:
            params.unlink()
            params.write_bytes(content)
            edit(workspace)
            pipe.write(params.read_bytes())
        stdout, stderr = stage.communicate()
        return subprocess.CompletedProcess(stage.args, stage.returncode, stdout, stderr)


def test_a_stage_whose_origin_is_edited_fails_and_writes_nothing(small: Workspace) -> None:
    before: list[object] = []

    def edit(workspace: Workspace) -> None:
        workspace.set_params(**{"prepare.seed": 2})
        append(workspace, "data/raw/small.npz")
        append(workspace, "digits/splits.py")
        before.append(workspace.written())

    done = prepare_and_edit(small, edit)
    assert done.returncode == 1
    assert done.stderr == (
        "error: params.yaml: prepare, data/raw/small.npz, digits/splits.py changed while the "
        "stage ran, so nothing was written; run it again\n"
    )
    assert [small.written()] == before
