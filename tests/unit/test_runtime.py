"""TensorFlow's settings, whatever the user's environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from digits.portable import runtime
from tests.conftest import ROOT


def test_a_processor_that_lacks_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    cpuinfo = tmp_path / "cpuinfo"
    for flags, reason in (("avx avx2 fma", None), ("avx avx2", "this processor has no FMA")):
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: fma avx2\n")
        assert runtime.unsupported_reason(cpuinfo) == reason


def test_on_another_architecture_a_line_says_that_the_bits_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtime, "MACHINE", "riscv64")
    assert not runtime.start(portable=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: this is ")
    assert line.endswith("differ from the committed ones in the last digits")


SCRIPT = """
import sys, stages.train_hidden, stages.evaluate
assert not {"keras", "scipy", "tensorflow"} & sys.modules.keys()
from digits.portable import runtime
runtime.start(True)
from digits.portable import inference, saving
assert not runtime.UNUSED & sys.modules.keys()
"""


def test_packages_are_imported_only_where_they_are_used() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, check=True)


def test_threads_are_the_cores_but_at_least_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, cores, threads in (("", 1, 2), ("", 8, 8), ("3", 8, 3), ("1", 8, 2), ("x", 8, 8)):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", limit)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert runtime._threads() == threads
