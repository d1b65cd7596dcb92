"""What is edited while a model is trained or evaluated: nothing is recorded that is not so.

A named pipe holds a stage where Keras, when it is imported, reads keras.json.
"""

import subprocess
import sys

from tests.conftest import Workspace
from tests.pipeline.test_origin import Edit, append
from tests.pipes import put_pipe, wait_for_reader


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


def test_an_evaluation_whose_origin_is_edited_fails_and_writes_nothing(small: Workspace) -> None:
    before: list[object] = []

    def edit(workspace: Workspace) -> None:
        workspace.set_params(**{"runtime.portable": False})
        append(workspace, "models/hidden.keras")
        append(workspace, "stages/evaluate.py")
        before.append(workspace.written())

    done = run_and_edit(small, edit, sys.executable, "-m", "stages.evaluate")
    assert done.returncode == 1
    assert done.stderr == (
        "error: params.yaml: runtime, models/hidden.keras, stages/evaluate.py changed while the "
        "stage ran, so nothing was written; run it again\n"
    )
    assert [small.written()] == before


def test_dvc_records_nothing_of_a_training_that_was_edited(small: Workspace) -> None:
    small.set_params(**{"train_hidden.units": 64})
    runs = small.path / ".dvc/cache/runs"
    recorded, remembered = small.lock(), set(runs.rglob("*"))

    def edit(workspace: Workspace) -> None:
        workspace.set_params(**{"train_hidden.units": 7})
        append(workspace, "data/prepared/train.npz")
        append(workspace, "digits/training.py")

    done = run_and_edit(small, edit, "dvc", "repro", "train_hidden")
    assert done.returncode == 255
    line, failed = done.stderr.splitlines()
    assert line == (
        "error: params.yaml: train_hidden, data/prepared/train.npz, digits/training.py changed "
        "while the stage ran, so nothing was written; run it again"
    )
    assert failed.startswith("ERROR: failed to reproduce 'train_hidden'")
    assert small.lock() == recorded
    assert not (small.path / "models/hidden.keras").exists()
    assert set(runs.rglob("*")) == remembered
