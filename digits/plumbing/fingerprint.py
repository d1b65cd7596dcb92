"""Identify all that a process has read."""

import hashlib
import sysconfig
from pathlib import Path

from digits.plumbing import files, params, stage


def of_inputs() -> str:
    """Return a hash of the data, parameters and code that were read so far, and the packages."""
    packages = sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    code = [(path, (stage.ROOT / path).read_bytes()) for path in sorted(stage._modules())]
    read = [files.inputs, params.loaded, code, packages]
    return hashlib.sha256(repr(read).encode()).hexdigest()[:16]
