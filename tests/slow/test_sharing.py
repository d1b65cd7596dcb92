"""Clones share results through S3 and SSH, without running anything twice."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.conftest import Workspace


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """A remote on Moto's server: the options that DVC needs."""
    # Takes seconds to import.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = HTTPConnection(host, port)
    connection.request("PUT", "/bucket")
    connection.getresponse()
    yield {
        "url": "s3://bucket/digits",
        "endpointurl": f"http://{host}:{port}",
        "access_key_id": "tester",
        "secret_access_key": "loopback",
    }
    server.stop()


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, str]]:
    """A remote on OpenSSH's server, with keys of its own, for the current user."""
    # It has to be started by its whole path, which is not on every user's PATH.
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if not sshd:
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    for name in ("key", "host_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        # Run by root, sshd needs this folder; usually the system's own service makes it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    options = (
        "ListenAddress=127.0.0.1",
        "PidFile=none",
        f"AuthorizedKeysFile={folder}/key.pub",
        "StrictModes=no",
        "Subsystem=sftp internal-sftp",
    )
    command = [sshd, "-D", "-f", "/dev/null", "-p", str(address[1]), "-h", f"{folder}/host_key"]
    command += [f"-o{option}" for option in options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process, socket.socket() as probe:
        while probe.connect_ex(address):
            time.sleep(0.02)
        yield {
            "url": f"ssh://127.0.0.1{folder}/digits",
            "port": str(address[1]),
            "user": getpass.getuser(),
            "keyfile": f"{folder}/key",
        }
        process.terminate()


@pytest.mark.parametrize("server", [s3_server, ssh_server])
def test_nothing_is_run_twice(
    small: Workspace,
    server: Callable[[Path], AbstractContextManager[dict[str, str]]],
    tmp_path: Path,
) -> None:
    with server(tmp_path) as options:
        for name, value in options.items():
            small.dvc("remote", "modify", "storage", name, value)
        small.commit("Share data and models")
        assert "0 files pushed" not in small.make("push").stdout
        assert not (small.home / "dvc-storage").exists()

        clone = small.clone(tmp_path / "clone")
        clone.run("git", "restore", "--source", ":/The repository as it is", "dvc.lock")
        assert clone.repro("--pull") == []
        assert clone.outputs() == small.outputs()
        assert "storage can be read and written" in clone.make("doctor").stdout
