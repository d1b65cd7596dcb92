"""How a command ends."""

import subprocess
import sys

import pytest

from digits import environment, stage
from digits.errors import UserError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (UserError("a\x1b[2J\nsecond line"), "error: a?[2J\nsecond line"),
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
    assert done.stderr == (
        f"error: {sys.executable} lacks {', '.join(environment.NEEDED)}; "
        "run make, then: source .venv/bin/activate\n"
    )
