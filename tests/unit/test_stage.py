"""How a command ends, and what a stage that dvc.yaml does not declare whole is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from digits import environment, stage
from digits.errors import UserError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (UserError("params.yaml: wrong"), "error: params.yaml: wrong"),
        (OSError(28, "No space left on device", "a.npz"), "error: a.npz: No space left on device"),
        (OSError("broken"), "error: input/output: broken"),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_a_line_and_a_status(raised: BaseException, status: str | int) -> None:
    def main() -> None:
        raise raised

    with pytest.raises(SystemExit) as exit_:
        stage.run_main(main)
    assert exit_.value.code == status


def test_a_python_without_the_packages_says_so() -> None:
    """As when `python` on the path is not the environment's; -S leaves out its packages."""
    command = [sys.executable, "-S", "-m", "stages.prepare"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {sys.executable} lacks {', '.join(environment.NEEDED)}; "
        "run make, then: source .venv/bin/activate\n"
    )


def test_folders_and_entries_with_options_declare_too() -> None:
    declared = {
        "deps": [".", "/"],
        "params": ["prepare", "train_linear", "train_hidden", "evaluate", "runtime", "mine"],
        "outs": ["models/a.keras"],
        "metrics": [{"metrics/a.json": {"cache": False}}],
        "plots": ["metrics/figures"],
    }
    outputs = [Path(name) for name in ("models/a.keras", "metrics/a.json", "metrics/figures/a.png")]
    assert [*stage.undeclared(declared, outputs)] == []
    other = Path("metrics/b.json")
    assert [*stage.undeclared(declared, [other])] == [
        "add `- metrics/b.json` to outs or metrics or plots"
    ]
