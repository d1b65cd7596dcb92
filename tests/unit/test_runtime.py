"""What TensorFlow is set up with, whatever the user's environment says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from digits import runtime
from tests.conftest import ROOT

portable_here = pytest.mark.skipif(
    runtime.unsupported_reason() is not None, reason="this machine computes other bits"
)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("fpu sse2 avx avx2 fma", None),
        ("fpu sse2 avx avx2", "this processor has no FMA"),
        ("fpu sse2", "this processor has no AVX2 and no FMA"),
    ],
)
def test_a_processor_that_lacks_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, reason: str | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: fma avx2\n")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert runtime.unsupported_reason(cpuinfo) == reason


@pytest.mark.usefixtures("tensorflow_started")
def test_on_another_architecture_a_line_says_that_the_bits_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert not runtime.start(portable=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: this is ")
    assert line.endswith(", so the bits will differ from the committed ones")


@pytest.mark.usefixtures("tensorflow_started")
@portable_here
def test_other_settings_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.start(portable=True)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX512")
    with pytest.raises(RuntimeError, match="TensorFlow was imported before"):
        runtime.start(portable=True)


def test_only_training_and_predicting_import_tensorflow() -> None:
    code = (
        "import sys, stages.prepare, stages.evaluate, stages.train_linear, stages.train_hidden, "
        "digits.figures; sys.exit(bool({'tensorflow', 'keras', 'scipy'} & sys.modules.keys()))"
    )
    assert not subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode


def test_threads_are_the_cores_but_at_least_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, cores, threads in (("", 1, 2), ("", 8, 8), ("3", 8, 3), ("1", 8, 2), ("x", 8, 8)):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", limit)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert runtime._threads() == threads


def test_why_an_import_failed_is_shown(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("import os\nos.write(2, b'the reason\\n')\nraise OSError\n")
    command = [sys.executable, "-c", "from digits import runtime; runtime.start(True)"]
    env = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("the reason\n")
