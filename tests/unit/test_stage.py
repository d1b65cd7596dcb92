"""How a command ends."""

import pytest

from digits.plumbing import stage
from digits.plumbing.errors import UserError


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (UserError("a\x1b[2J\nsecond line"), "error: a?[2J\nsecond line"),
        (OSError(28, "No space left on device", "a.npz"), "error: a.npz: No space left on device"),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_a_line_and_a_status(raised: BaseException, status: str | int) -> None:
    def main() -> None:
        raise raised

    with pytest.raises(SystemExit) as exit_:
        stage.run_main(main)
    assert exit_.value.code == status
