"""Settings that must be in force before TensorFlow is imported.

TensorFlow and XLA read them once; set later they are silently ignored. So a stage calls `start()`
first and imports Keras after it.
"""

import gc
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Why these: by default oneDNN and XLA choose code by instruction set and cache size, and other code
# rounds differently. The first flag makes XLA's matrix products use arithmetic that is the same on
# all hardware, the second keeps the code XLA generates independent of the host, and the variable
# replaces the remaining kernels compiled at run time by static ones.
PORTABLE = {
    "XLA_FLAGS": "--xla_cpu_enable_platform_dependent_math=false --xla_cpu_max_isa=AVX",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "false",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
# A single thread adds up in another order than two or more, which agree among themselves.
FEWEST_THREADS = 2


def start(portable: bool) -> None:
    """Put the settings in force and import TensorFlow, without its messages to developers.

    With `portable`, everything compiled by XLA yields the same bits on every x86-64 Linux machine
    whose processor has AVX2 and FMA, and only the CPU is used; elsewhere one warning line says that
    the bits will differ. Without it, TensorFlow picks what is fastest here.

    Raises RuntimeError if TensorFlow has been imported already, with other settings.
    """
    wanted = {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": str(_threads()),
    }
    obstacle = obstacle_to_portability() if portable else None
    if obstacle:
        print(
            f"warning: {obstacle}, so the bits will differ from the committed ones", file=sys.stderr
        )
    elif portable:
        wanted |= PORTABLE
    if "tensorflow" in sys.modules:
        if any(os.environ.get(name) != value for name, value in wanted.items()):
            raise RuntimeError("TensorFlow was imported before runtime.start() could set it up")
        return
    os.environ.update(wanted)
    # XLA flags of the user's own would change what is computed.
    os.environ.pop("TF_XLA_FLAGS", None)
    with _stderr_kept_back(), _without_garbage_collection():
        import keras
    # A keras.json in the home folder may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy("float32")


def portable_in_force() -> bool:
    """Whether `start()` put the portable settings in force."""
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


def obstacle_to_portability(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Why the portable settings cannot be used on this machine; None if they can.

    Without FMA, TensorFlow would hang in the first matrix product compiled with these settings.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"this is {platform.system()} on {platform.machine()}, not Linux on x86-64"
    flags = next(
        (line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), ""
    )
    missing = [name for name in ("AVX2", "FMA") if name.lower() not in flags.split()]
    return f"this processor has no {' and no '.join(missing)}" if missing else None


def _threads() -> int:
    """One thread per core we may use, or TF_NUM_INTRAOP_THREADS of them; at least two."""
    limit = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(FEWEST_THREADS, int(limit) if limit.isdecimal() else cores or 0)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Take what is imported for permanent: searching it for garbage costs a second per process."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _stderr_kept_back() -> Iterator[None]:
    """Send what native code writes to standard error to a file; show it only after an exception."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
