import subprocess
import sys
from pathlib import Path

import pytest

from stages.lib import runtime
from tests.conftest import ROOT

START = "from stages.lib import runtime; runtime.start(portable={portable}); "


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "obstacle"),
    [
        ("fpu sse2 avx avx2 fma", None),
        ("fpu sse2 avx avx2", "this processor has no FMA"),
        ("fpu sse2", "this processor has no AVX2 and no FMA"),
    ],
)
def test_a_processor_that_lacks_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, obstacle: str | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: fma avx2\n")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert runtime.obstacle_to_portability(cpuinfo) == obstacle


def test_another_architecture_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    obstacle = runtime.obstacle_to_portability()
    assert obstacle is not None
    assert obstacle.endswith("on arm64, not Linux on x86-64")


def test_where_the_bits_differ_one_line_says_so_and_the_settings_are_left_out() -> None:
    done = python(
        "import os, platform; platform.machine = lambda: 'arm64'; "
        + START.format(portable=True)
        + "print(os.environ.get('XLA_FLAGS'), runtime.portable_in_force())"
    )
    assert done.stdout == "None False\n"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: this is ")
    assert warning.endswith("so the bits will differ from the committed ones")


@pytest.mark.parametrize("portable", [True, False])
def test_the_settings_reach_tensorflow_and_the_terminal_stays_quiet(portable: bool) -> None:
    done = python(
        START.format(portable=portable)
        + "import os, tensorflow as tf; "
        + "tf.function(lambda x: x @ x, jit_compile=True)(tf.ones((8, 8))); "
        + "print(os.environ.get('XLA_FLAGS'), tf.config.list_physical_devices('GPU'))"
    )
    assert done.returncode == 0, done.stderr
    assert ("--xla_cpu_max_isa=AVX" in done.stdout) == portable
    assert done.stderr == ""


@pytest.mark.parametrize(("wanted", "given"), [("1", 2), ("3", 3)])
def test_there_are_never_fewer_than_two_threads(wanted: str, given: int) -> None:
    done = python(
        START.format(portable=True) + "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'])",
        TF_NUM_INTRAOP_THREADS=wanted,
    )
    assert int(done.stdout) == given


def test_settings_that_come_too_late_are_an_error() -> None:
    done = python("import tensorflow; " + START.format(portable=True))
    assert "RuntimeError: TensorFlow was imported before runtime.start()" in done.stderr


def test_why_an_import_failed_is_shown(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("import os\nos.write(2, b'the reason\\n')\nraise OSError\n")
    done = python(START.format(portable=True), PYTHONPATH=str(tmp_path))
    assert "the reason" in done.stderr


def test_a_kerasjson_in_the_home_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "epsilon": 0.1, "backend": "jax"}')
    done = python(
        START.format(portable=True)
        + "import keras; c = keras.config; "
        + "print(c.floatx(), c.epsilon(), c.backend(), keras.Input((3,)).dtype)",
        KERAS_HOME=str(tmp_path),
    )
    assert done.stdout.split() == ["float32", "1e-07", "tensorflow", "float32"], done.stderr


def test_what_is_imported_is_not_searched_for_garbage_and_the_rest_is() -> None:
    done = python(
        START.format(portable=True) + "import gc; print(gc.get_freeze_count(), gc.isenabled())"
    )
    frozen, enabled = done.stdout.split()
    assert int(frozen) > 100_000
    assert enabled == "True"
