"""What is edited while a stage runs: it fails, and nothing is recorded that is not so.

Named pipes hold a stage after it has read its parameters and data: `prepare` reads params.yaml a
second time before it writes, and Keras, when the other stages import it, reads keras.json.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest

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


def prepare_and_edit(workspace: Workspace, edit: Edit) -> subprocess.CompletedProcess[str]:
    """Run `prepare`, and edit something before it ends."""
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


def run_and_edit(
    workspace: Workspace, edit: Edit, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run a command, and edit something while its stage imports Keras."""
    settings = workspace.home / ".keras/keras.json"
    put_pipe(settings)
    with workspace.start(*command) as process:
        with wait_for_reader(settings, process) as pipe:
            # Keras reads it twice.
            settings.unlink()
            edit(workspace)
            pipe.write(b"{}")
        stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.mark.parametrize(
    ("stage", "edit", "named"),
    [
        ("prepare", set_param("prepare.seed", 2), "params.yaml: prepare"),
        ("prepare", append("stages/lib/splits.py"), "stages/lib/splits.py"),
        ("prepare", append("data/raw/small.npz"), "data/raw/small.npz"),
        ("train_hidden", append("stages/lib/training.py"), "stages/lib/training.py"),
        ("train_linear", append("data/prepared/train.npz"), "data/prepared/train.npz"),
        ("evaluate", set_param("runtime.portable", False), "params.yaml: runtime"),
        ("evaluate", append("stages/evaluate.py"), "stages/evaluate.py"),
        ("evaluate", append("models/hidden.keras"), "models/hidden.keras"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_stage_whose_origin_is_edited_fails_and_writes_nothing(
    small: Workspace, stage: str, edit: Edit, named: str
) -> None:
    before: list[object] = []

    def edit_and_look(workspace: Workspace) -> None:
        edit(workspace)
        before.append(workspace.written())

    if stage == "prepare":
        done = prepare_and_edit(small, edit_and_look)
    else:
        done = run_and_edit(small, edit_and_look, sys.executable, "-m", f"stages.{stage}")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {named} changed while the stage ran, so nothing was written; run it again\n"
    )
    assert [small.written()] == before


def test_dvc_records_nothing_of_it(small: Workspace) -> None:
    small.set_params(**{"train_hidden.units": 64})
    runs = small.path / ".dvc/cache/runs"
    recorded, remembered = small.lock(), set(runs.rglob("*"))
    done = run_and_edit(small, set_param("train_hidden.units", 7), "dvc", "repro", "train_hidden")
    assert done.returncode == 255
    line, failed = done.stderr.splitlines()
    assert line.startswith("error: params.yaml: train_hidden changed while the stage ran")
    assert failed.startswith("ERROR: failed to reproduce 'train_hidden'")
    assert small.lock() == recorded
    assert not (small.path / "models/hidden.keras").exists()
    assert set(runs.rglob("*")) == remembered


def test_editing_what_a_stage_does_not_use_disturbs_nothing(
    small: Workspace, small_pipeline: Workspace
) -> None:
    def edit(workspace: Workspace) -> None:
        workspace.set_params(**{"train_hidden.units": 7})
        for name in ("README.md", "stages/evaluate.py", "stages/lib/figures.py", "dvc.lock"):
            append(name)(workspace)

    done = run_and_edit(small, edit, sys.executable, "-m", "stages.train_linear")
    assert (done.returncode, done.stderr) == (0, "")
    assert small.outputs() == small_pipeline.outputs()
