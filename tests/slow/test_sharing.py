"""Clones share results through S3 and SSH, without running anything twice."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import asyncssh
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
    """A remote on AsyncSSH's server, with a key of its own."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    key.write_public_key(folder / "key.pub")
    loop = asyncio.new_event_loop()
    listening = asyncssh.listen(
        "127.0.0.1",
        server_host_keys=[key],
        authorized_client_keys=str(folder / "key.pub"),
        sftp_factory=True,
    )
    server = loop.run_until_complete(listening)
    Thread(target=loop.run_forever, daemon=True).start()
    yield {
        "url": f"ssh://127.0.0.1{folder}/digits",
        "port": str(server.get_port()),
        "user": "tester",
        "keyfile": f"{folder}/key",
    }
    loop.call_soon_threadsafe(loop.stop)


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
