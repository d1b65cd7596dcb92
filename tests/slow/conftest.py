"""Servers on loopback that the slow tests share data through."""

import shutil
from collections.abc import Iterator

import pytest

from tests.servers import S3Server, SSHServer


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server that speaks the S3 protocol; each test makes a bucket of its own."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An OpenSSH server that knows one key."""
    # It has to be started by its whole path, which is not on every user's PATH.
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if not sshd:
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    server = SSHServer(sshd, tmp_path_factory.mktemp("ssh"))
    yield server
    server.stop()
