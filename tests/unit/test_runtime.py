"""What TensorFlow is set up with, whatever the user's environment says."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
    assert line.endswith(
        "on arm64, not Linux on x86-64, so the bits will differ from the committed ones"
    )


@pytest.mark.usefixtures("tensorflow_started")
@portable_here
def test_other_settings_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.start(portable=True)
    assert not runtime.start(portable=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX512")
    with pytest.raises(RuntimeError, match="TensorFlow was imported before"):
        runtime.start(portable=True)


# Values that would stop TensorFlow, Keras or Matplotlib, or change the bits, if they had an effect.
USERS = {
    "KERAS_BACKEND": "jax",
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_NNX_ENABLED": "true",
    "MPLBACKEND": "nonsense",
    "NVIDIA_TF32_OVERRIDE": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_XLA_FLAGS": "--nonsense",
    "XLA_FLAGS": "--nonsense",
}
KERAS_JSON = {
    "floatx": "float16",
    "epsilon": 0.1,
    "backend": "jax",
    "image_data_format": "channels_first",
    "nnx_enabled": True,
}
# Starts TensorFlow, compiles something, draws something, and prints what is set.
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
    print(json.dumps({
        "applied": applied,
        "floats": [config.floatx(), config.epsilon(), keras.Input((3,)).dtype],
        "backend": config.backend(),
        "epochs": config.max_epochs(),
        "garbage": [frozen > 100_000, collecting],
        "environment": {k: v for k, v in os.environ.items() if k.startswith(runtime.FAMILIES)},
    }))
run.run_main(main)
"""


def probe(home: Path, mode: str, redirect: str = "", **environment: str) -> dict[str, object]:
    """What PROBE prints with the user's settings above; nothing may be on standard error."""
    (home / "keras.json").write_text(json.dumps(KERAS_JSON))
    rc = home / ".config/matplotlib/matplotlibrc"
    rc.parent.mkdir(parents=True)
    rc.write_bytes(b"font.size: huge\n\xff")
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" "$2" {redirect}', sys.executable, PROBE, mode],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "KERAS_HOME": str(home)} | USERS | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, object] = json.loads(done.stdout)
    assert found.pop("floats") == ["float32", 1e-07, "float32"]
    assert found.pop("backend") == "tensorflow"
    assert found.pop("epochs") is None
    # What is imported is not searched for garbage, the rest is.
    assert found.pop("garbage") == [True, True]
    return found


SET = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_NNX_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@portable_here
def test_portable(tmp_path: Path) -> None:
    found = probe(
        tmp_path,
        "portable",
        HOME=str(tmp_path),
        PYTHONWARNINGS="error",
        TF_NUM_INTRAOP_THREADS="1",
        CUDA_VISIBLE_DEVICES="0",
    )
    environment = SET | runtime.PORTABLE | {"KERAS_HOME": str(tmp_path)}
    # With one thread, the sums would be others.
    assert found == {
        "applied": True,
        "environment": environment | {"TF_NUM_INTRAOP_THREADS": "2"},
    }


def test_fastest_without_home_and_standard_error(tmp_path: Path) -> None:
    passed_on = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "0",
        "TF_NUM_INTRAOP_THREADS": "3",
    }
    found = probe(tmp_path, "fastest", redirect="2>&-", **passed_on)
    environment = SET | passed_on | {"KERAS_HOME": str(tmp_path)}
    assert found == {"applied": False, "environment": environment}


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
