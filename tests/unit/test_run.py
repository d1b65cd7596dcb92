"""How a command ends, and that a stage which was edited while it ran writes nothing."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from digits import files, origin, params, paths, run, splits
from digits.errors import UserError
from digits.splits import Split
from tests.conftest import ROOT, committed

OUTPUT = Path("output")
BOTH = "params.yaml: train_hidden, params.yaml: prepare.dataset"
CODE = ("stages/used.py", "stages/other.py")


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
        run.run_main(main)
    assert exit_.value.code == status


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run.run_main(lambda: print(1 // 0))


def test_a_python_without_the_packages_says_so() -> None:
    """As when `python` on the path is not the environment's; -S leaves out its packages."""
    command = [sys.executable, "-S", "-m", "stages.prepare"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {sys.executable} lacks keras, matplotlib, numpy, pydantic, ruamel, tensorflow; "
        "run make, then: source .venv/bin/activate\n"
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parameters, a data file, and two modules of which one is imported."""
    monkeypatch.chdir(tmp_path)
    params.PATH.write_bytes(committed("params.yaml"))
    train = Split(np.zeros((1, 4), np.float32), np.zeros(1, np.uint8))
    files.write(paths.prepared("train"), files.array_bytes(train._asdict()))
    for name in CODE:
        files.write(Path(name), b"# code\n")
    monkeypatch.setattr(origin, "CODE", tmp_path / "stages")
    monkeypatch.setattr(origin, "_used", {})
    monkeypatch.setattr(origin, "_code", {})
    monkeypatch.syspath_prepend(tmp_path / "stages")
    importlib.import_module("used")
    yield
    del sys.modules["used"]


def run_stage_and_change(path: str, old: str, new: str | None) -> None:
    """Run a stage in which a file changes after it has been read; None: it is deleted."""

    def main() -> dict[Path, bytes]:
        params.load(params.TrainHidden)
        params.dataset()
        splits.read("train")
        content = Path(path).read_bytes()
        assert old.encode() in content
        if new is None:
            Path(path).unlink()
        else:
            Path(path).write_bytes(content.replace(old.encode(), new.encode()))
        return {OUTPUT: b"output"}

    run.run_stage(main)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("path", "old", "new", "named"),
    [
        ("params.yaml", "units: 1000", "units: 7", "params.yaml: train_hidden"),
        ("params.yaml", "dataset: mnist", "dataset: mine", "params.yaml: prepare.dataset"),
        ("params.yaml", "units: 1000", "units: many", BOTH),
        ("params.yaml", "", None, BOTH),
        ("data/prepared/train.npz", "PK", "QK", "data/prepared/train.npz"),
        ("data/prepared/train.npz", "", None, "data/prepared/train.npz"),
        ("stages/used.py", "code", "other code", "stages/used.py"),
        ("stages/used.py", "", None, "stages/used.py"),
    ],
)
def test_a_change_while_a_stage_runs_is_named(
    path: str, old: str, new: str | None, named: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run_stage_and_change(path, old, new)
    assert exit_.value.code == (
        f"error: {named} changed while the stage ran, so nothing was written; run it again"
    )
    assert not OUTPUT.exists()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("params.yaml", "examples: 40", "examples: 8"),
        ("params.yaml", "validation_size: 5000", "validation_size: 8"),
        ("params.yaml", "# one dense layer", "# a comment"),
        ("stages/other.py", "code", "other code"),
        ("stages/other.py", "", None),
    ],
)
def test_a_change_of_what_the_stage_does_not_use_disturbs_nothing(
    path: str, old: str, new: str | None
) -> None:
    run_stage_and_change(path, old, new)
    assert OUTPUT.read_bytes() == b"output"
