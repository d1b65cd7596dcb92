"""Servers on loopback that tests share data through."""

import getpass
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(happened: Callable[[], bool]) -> None:
    while not happened():
        time.sleep(0.02)


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """A remote on Moto's server: the options that DVC needs."""
    # Takes seconds to import.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    bucket = urllib.request.Request(f"{endpoint}/bucket", method="PUT")  # noqa: S310
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(bucket).close()
    yield {
        "url": "s3://bucket/digits",
        "endpointurl": endpoint,
        "access_key_id": "tester",
        "secret_access_key": "loopback",
    }
    server.stop()


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, str]]:
    """A remote on OpenSSH's server, with keys of its own, for the current user."""
    # It has to be started by its whole path, which is not on every user's PATH.
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if not sshd:
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    for name in ("key", "host_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        # Run by root, sshd needs this folder; usually the system's own service makes it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = str(free_port())
    options = {
        "ListenAddress": "127.0.0.1",
        "PidFile": "none",
        "AuthorizedKeysFile": f"{folder}/key.pub",
        "StrictModes": "no",
        "Subsystem": "sftp internal-sftp",
    }
    settings = [f"-o{name}={value}" for name, value in options.items()]
    command = [sshd, "-D", "-f", "/dev/null", "-p", port, "-h", f"{folder}/host_key", *settings]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process, socket.socket() as probe:
        wait_until(lambda: probe.connect_ex(("127.0.0.1", int(port))) == 0)
        yield {
            "url": f"ssh://127.0.0.1{folder}/digits",
            "port": port,
            "user": getpass.getuser(),
            "keyfile": f"{folder}/key",
        }
        process.terminate()
