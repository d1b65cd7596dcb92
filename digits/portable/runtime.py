"""Set up TensorFlow before it is imported; later settings are silently ignored."""

import gc
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from digits.plumbing import params, terminal

# Variables of these families change the results of TensorFlow, XLA and Keras, or the figures.
FAMILIES = re.compile(
    "CUDA_|DNNL_|FREETYPE_|KERAS_|MPLBACKEND|NVIDIA_|ONEDNN_|TENSORFLOW_|TF_|XLA_"
)
# Exceptions, passed on to a stage; docs/reproducibility.md lists them.
ALLOWED = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "KERAS_HOME", "TF_NUM_INTRAOP_THREADS")
MACHINE = platform.machine().replace("aarch64", "arm64")
# These keep the code that XLA generates independent of the host. AVX has no fused multiply-add;
# ARM64 has, and LLVM fuses operations depending on the processor's timing, unless told not to.
CODE_FLAGS = {
    "x86_64": "--xla_cpu_max_isa=AVX",
    "arm64": "--xla_cpu_max_isa=NEON --xla_backend_extra_options=-aarch64-enable-mcr=false",
}
# By default oneDNN and XLA choose code by instruction set and cache size, and different code rounds
# differently. The first flag makes XLA's matrix products use arithmetic that is the same on
# all hardware, and the variable replaces the remaining kernels compiled at run time by static ones.
PORTABLE = {
    "XLA_FLAGS": f"--xla_cpu_enable_platform_dependent_math=false {CODE_FLAGS.get(MACHINE, '')}",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "false",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
# Keras imports these where they are installed; training uses none of them.
UNUSED = {"IPython", "PIL", "matplotlib", "pandas", "scipy", "sklearn"}


class Settings(params.Group):
    """Whether results are the same bits on every processor, or as fast as possible on this one."""

    portable: bool = Field(description="true or false")


def start(portable: bool) -> bool:
    """Make the settings and import TensorFlow, without its messages to developers.

    With `portable`, code compiled by XLA yields the same bits on every x86-64 Linux machine whose
    processor has AVX2 and FMA, and no GPU is used; elsewhere one line warns that they will differ.
    Returns whether the portable settings apply. Raises RuntimeError if TensorFlow has been imported
    already, with other settings.
    """
    reason = unsupported_reason() if portable else None
    if reason:
        but = "but differ from the committed ones in the last digits"
        terminal.warn(f"{reason}: results are reproducible here, {but}")
    applied = portable and (MACHINE == "arm64" or not reason)
    settings = {
        "KERAS_BACKEND": "tensorflow",
        # A keras.json in the home folder may ask for it, and Keras needs another package then.
        "KERAS_NNX_ENABLED": "false",
        # Matplotlib would read the user's matplotlibrc, and may fail with it.
        "MATPLOTLIBRC": os.devnull,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Otherwise the first process takes all memory of the GPU, and a second one fails.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTRAOP_THREADS": str(_threads()),
    } | (PORTABLE if applied else {})
    if "tensorflow" in sys.modules:
        if any(os.environ.get(name) != value for name, value in settings.items()):
            raise RuntimeError("TensorFlow was imported before runtime.start() could set it up")
        return applied
    for name in filter(FAMILIES.match, list(os.environ)):
        if name not in ALLOWED:
            del os.environ[name]
    os.environ.update(settings)
    absent = dict.fromkeys(UNUSED - sys.modules.keys())
    terminal.announce("loading TensorFlow")
    # Searching imported objects for garbage costs a second per process.
    gc.disable()
    with _without_native_messages(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # With None in sys.modules, Python treats the module as not installed.
        sys.modules.update(absent)  # type: ignore[arg-type]
        import keras
    gc.freeze()
    gc.enable()
    for name in absent:
        del sys.modules[name]
    # A keras.json in the home folder may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy("float32")
    return applied


def device() -> str:
    """Return CPU or GPU: TensorFlow does not say when it finds a GPU but not its libraries."""
    import tensorflow as tf

    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def unsupported_reason(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return why this machine does not compute the committed bits; None if it does."""
    if platform.system() != "Linux" or MACHINE != "x86_64":
        return f"this is {platform.system()} on {MACHINE}"
    flags = cpuinfo.read_text().partition("flags")[2].partition("\n")[0].split()
    # Without FMA, TensorFlow would hang in the first matrix product compiled with these settings.
    missing = [name for name in ("AVX2", "FMA") if name.lower() not in flags]
    return f"this processor has no {' and no '.join(missing)}" if missing else None


def _threads() -> int:
    """Return the number of cores, or TF_NUM_INTRAOP_THREADS if it is set; at least two."""
    limit = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # A single thread adds up in a different order; two or more agree among themselves.
    return max(2, int(limit) if limit.isdecimal() else cores or 0)


@contextmanager
def _without_native_messages() -> Iterator[None]:
    """Discard the messages of native code on standard error."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
