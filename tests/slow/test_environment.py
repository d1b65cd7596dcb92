"""What a user's environment says changes nothing that a stage computes or draws."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from digits import runtime
from tests.conftest import ROOT

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
from digits import run, runtime
def main():
    applied = runtime.start(portable=sys.argv[1] == "portable")
    frozen, collecting = gc.get_freeze_count(), gc.isenabled()
    import keras, numpy, tensorflow as tf
    from digits import figures
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


@pytest.mark.skipif(
    runtime.unsupported_reason() is not None, reason="this machine computes other bits"
)
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
