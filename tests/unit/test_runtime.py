"""What TensorFlow is set up with, whatever the user's environment says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.lib import runtime
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


# What would stop TensorFlow, Keras or Matplotlib, or change the bits, if it had an effect.
USERS = {
    "KERAS_BACKEND": "jax",
    "KERAS_MAX_EPOCHS": "1",
    "MPLBACKEND": "nonsense",
    "NVIDIA_TF32_OVERRIDE": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_XLA_FLAGS": "--nonsense",
    "XLA_FLAGS": "--nonsense",
}
KERAS_JSON = '{"floatx": "float16", "epsilon": 0.1, "backend": "jax", "nnx_enabled": true}'
MATPLOTLIBRC = b"font.size: huge\n\xff"
# Starts TensorFlow, compiles and draws something, and prints what is set.
PROBE = """
import gc, json, os, sys
from stages.lib import run, runtime
def main():
    applied = runtime.start(portable=sys.argv[1] == "portable")
    frozen, collecting = gc.get_freeze_count(), gc.isenabled()
    import keras, numpy, tensorflow as tf
    from stages.lib import figures
    tf.function(lambda x: x @ x, jit_compile=True)(tf.ones((8, 8)))
    figures.weights("mnist", "linear", numpy.ones((4, 10)))
    config = keras.config
    print(json.dumps([
        [config.floatx(), config.epsilon(), keras.Input((3,)).dtype, config.max_epochs()],
        [frozen > 100_000, collecting],
        applied,
        {k: v for k, v in os.environ.items() if k.startswith(runtime.FAMILIES)},
    ]))
run.run_main(main)
"""


def probe(home: Path, mode: str, redirect: str = "", **environment: str) -> tuple[bool, Any]:
    """Run PROBE as a user who has all of the above; what it prints of `start` and variables."""
    (home / "keras.json").write_text(KERAS_JSON)
    (home / ".config/matplotlib").mkdir(parents=True)
    (home / ".config/matplotlib/matplotlibrc").write_bytes(MATPLOTLIBRC)
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" "$2" {redirect}', sys.executable, PROBE, mode],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "KERAS_HOME": str(home)} | USERS | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    keras, garbage, applied, found = json.loads(done.stdout)
    assert keras == ["float32", 1e-07, "float32", None]
    # What is imported is not searched for garbage, the rest is.
    assert garbage == [True, True]
    assert found.pop("KERAS_BACKEND") == "tensorflow"
    assert found.pop("KERAS_NNX_ENABLED") == "false"
    assert found.pop("KERAS_HOME") == str(home)
    assert found.pop("TF_CPP_MIN_LOG_LEVEL") == "3"
    return applied, found


@portable_here
def test_portable(tmp_path: Path) -> None:
    """With one thread, the sums would be others."""
    users = {"TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "0"}
    users |= {"HOME": str(tmp_path), "PYTHONWARNINGS": "error"}
    expected = runtime.PORTABLE | {"TF_NUM_INTRAOP_THREADS": "2"}
    assert probe(tmp_path, "portable", **users) == (True, expected)


def test_fastest_without_home_and_standard_error(tmp_path: Path) -> None:
    users = {"TF_NUM_INTRAOP_THREADS": "3", "CUDA_VISIBLE_DEVICES": "0"}
    users |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert probe(tmp_path, "fastest", redirect="2>&-", **users) == (False, users)


def test_only_training_and_predicting_import_tensorflow() -> None:
    code = (
        "import sys, stages.prepare, stages.evaluate, stages.train_linear, stages.train_hidden, "
        "stages.lib.figures, tools.result; "
        "sys.exit(bool({'tensorflow', 'keras', 'scipy'} & sys.modules.keys()))"
    )
    assert not subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode


def test_threads_are_the_cores_but_at_least_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, cores, threads in (("", 1, 2), ("", 8, 8), ("3", 8, 3), ("1", 8, 2), ("x", 8, 8)):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", limit)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert runtime._threads() == threads


def test_why_an_import_failed_is_shown(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("import os\nos.write(2, b'the reason\\n')\nraise OSError\n")
    command = [sys.executable, "-c", "from stages.lib import runtime; runtime.start(True)"]
    env = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("the reason\n")
