"""What is edited while a stage runs: it fails, and nothing is recorded that is not so.

Named pipes hold a stage after it has read its parameters and data: `prepare` reads params.yaml a
second time before it writes, and Keras, when the other stages import it, reads keras.json.
"""

import subprocess
import sys
from collections.abc import Callable

from tests.conftest import Workspace
from tests.pipes import put_pipe, wait_for_reader

Edit = Callable[[Workspace], object]


def append(name: str) -> Edit:
    def edit(workspace: Workspace) -> None:
        with (workspace.path / name).open("ab") as file:
            file.write(b"\n")

    return edit


def set_param(name: str, value: object) -> Edit:
    return lambda workspace: workspace.set_params(**{name: value})


def prepare_and_edit(
    workspace: Workspace, edit: Edit, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run `prepare`, and edit something before it ends."""
    params = workspace.path / "params.yaml"
    content = params.read_bytes()
    put_pipe(params)
    with workspace.start(*command) as stage:
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
        set_param("prepare.seed", 2)(workspace)
        append("data/raw/small.npz")(workspace)
        append("stages/lib/splits.py")(workspace)
        before.append(workspace.written())

    done = prepare_and_edit(small, edit, sys.executable, "-m", "stages.prepare")
    assert done.returncode == 1
    assert done.stderr == (
        "error: params.yaml: prepare, data/raw/small.npz, stages/lib/splits.py changed while the "
        "stage ran, so nothing was written; run it again\n"
    )
    assert [small.written()] == before
