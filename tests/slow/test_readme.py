"""The README, typed block by block in a fresh clone."""

import re
import sys
from pathlib import Path

from tests.conftest import ROOT, Checkout, Workspace

BLOCKS = re.findall(
    r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```)?",
    (ROOT / "README.md").read_text("utf-8"),
    re.DOTALL | re.MULTILINE,
)
MARK = "=== end of block ==="


def pattern(shown: str) -> str:
    """A regular expression for a text in which "..." stands for anything."""
    anything = re.escape("...")
    lines = re.escape(shown).replace(f"{anything}\\\n", r"(?:.*\n)*?")
    return lines.replace(anything, ".*")


def test_every_block_can_be_typed_and_prints_what_is_shown(
    checkout: Checkout, tmp_path: Path
) -> None:
    repository = checkout()
    script = "".join(f"{commands}echo '{MARK}'\n" for commands, _ in BLOCKS)
    # The environment of the tests instead of a new one, which .ci/run makes.
    script = script.replace("REPOSITORY", str(repository.path))
    script = script.replace("cd digits\n", f"cd digits\nln -s {sys.prefix} .venv\n")
    script = f'make() {{ command make --old-file=setup "$@"; }}\n{script}'
    (tmp_path / "typed").mkdir()
    visitor = Workspace(tmp_path / "typed")
    printed = visitor.run("bash", "-ec", script).stdout.split(f"{MARK}\n")
    assert len(printed) == len(BLOCKS) + 1
    for (commands, shown), found in zip(BLOCKS, printed, strict=False):
        assert re.fullmatch(pattern(shown) if shown else r"(?:.*\n)*", found), (commands, found)
