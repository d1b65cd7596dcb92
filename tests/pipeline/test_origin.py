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
Run = Callable[..., subprocess.CompletedProcess[str]]


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
    ("stage", "run", "edits", "named"),
    [
        (
            "prepare",
            prepare_and_edit,
            [
                set_param("prepare.seed", 2),
                append("data/raw/small.npz"),
                append("stages/lib/splits.py"),
            ],
            "params.yaml: prepare, data/raw/small.npz, stages/lib/splits.py",
        ),
        (
            "evaluate",
            run_and_edit,
            [
                set_param("runtime.portable", False),
                append("models/hidden.keras"),
                append("stages/evaluate.py"),
            ],
            "params.yaml: runtime, models/hidden.keras, stages/evaluate.py",
        ),
    ],
    ids=["prepare", "evaluate"],
)
def test_a_stage_whose_origin_is_edited_fails_and_writes_nothing(
    small: Workspace, stage: str, run: Run, edits: list[Edit], named: str
) -> None:
    before: list[object] = []

    def edit(workspace: Workspace) -> None:
        for change in edits:
            change(workspace)
        before.append(workspace.written())

    done = run(small, edit, sys.executable, "-m", f"stages.{stage}")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {named} changed while the stage ran, so nothing was written; run it again\n"
    )
    assert [small.written()] == before


def test_dvc_records_nothing_of_a_training_that_was_edited(small: Workspace) -> None:
    small.set_params(**{"train_hidden.units": 64})
    runs = small.path / ".dvc/cache/runs"
    recorded, remembered = small.lock(), set(runs.rglob("*"))

    def edit(workspace: Workspace) -> None:
        workspace.set_params(**{"train_hidden.units": 7})
        for name in ("data/prepared/train.npz", "stages/lib/training.py"):
            append(name)(workspace)

    done = run_and_edit(small, edit, "dvc", "repro", "train_hidden")
    assert done.returncode == 255
    line, failed = done.stderr.splitlines()
    assert line == (
        "error: params.yaml: train_hidden, data/prepared/train.npz, stages/lib/training.py changed "
        "while the stage ran, so nothing was written; run it again"
    )
    assert failed.startswith("ERROR: failed to reproduce 'train_hidden'")
    assert small.lock() == recorded
    assert not (small.path / "models/hidden.keras").exists()
    assert set(runs.rglob("*")) == remembered
