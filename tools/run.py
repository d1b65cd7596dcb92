"""`make`: run the pipeline; where MNIST is out of reach, run it on the shipped digits instead."""

import signal
import subprocess
import sys

from stages.lib import datasets, params
from stages.lib.errors import report


def main() -> None:
    if params.load().prepare.dataset == "mnist" and not _mnist_in_reach():
        _run_on_shipped_digits()
    else:
        sys.exit(_dvc("repro"))


def _mnist_in_reach() -> bool:
    """Is MNIST, or what prepare makes of it, on this machine, or can it be downloaded?"""
    if datasets.mnist_at_hand() or _dvc("status", "--quiet", "prepare") == 0:
        return True
    try:
        datasets.download_mnist()
    except datasets.OutOfReachError:
        return False
    return True


def _run_on_shipped_digits() -> None:
    print(
        "MNIST is out of reach (no file, no cache, no network), so the same pipeline runs on the "
        "shipped digits, as a DVC experiment.",
        flush=True,
    )
    status = _dvc("exp", "run", "-S", "prepare.dataset=uci_digits")
    if status:
        sys.exit(status)
    _dvc("metrics", "show")
    print(
        f"\nThese are results on uci_digits. To go back to MNIST: put mnist.npz into "
        f"{datasets.MNIST_DROP_IN.parent}/ or get online, then\n"
        "    git restore params.yaml dvc.lock metrics && make"
    )


def _dvc(*arguments: str) -> int:
    """Run dvc; its exit status."""
    process = subprocess.Popen(["dvc", *arguments])
    # Ctrl-C reaches dvc, too, which then ends its stage and releases its locks: wait for that.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, handler)


if __name__ == "__main__":
    report(main)
