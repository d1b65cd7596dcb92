"""Clones share results through S3 and SSH, without running anything twice."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import asyncssh
import pytest

from tests.conftest import STAGES, WIDE, Workspace


def s3_server(folder: Path) -> dict[str, str]:
    """The options of a remote on Moto's server, which runs until the tests end."""
    # Takes seconds to import.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = HTTPConnection(host, port)
    connection.request("PUT", "/bucket")
    connection.getresponse()
    return {
        "url": "s3://bucket/digits",
        "endpointurl": f"http://{host}:{port}",
        "access_key_id": "tester",
        "secret_access_key": "loopback",
    }


def ssh_server(folder: Path) -> dict[str, str]:
    """The same on AsyncSSH's server, with a key of its own."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    key.write_public_key(folder / "key.pub")
    port: Future[int] = Future()

    async def serve() -> None:
        keys = {"server_host_keys": [key], "authorized_client_keys": str(folder / "key.pub")}
        server = await asyncssh.listen("127.0.0.1", sftp_factory=True, **keys)
        port.set_result(server.get_port())
        await server.wait_closed()

    # The browser of other tests has a loop of its own in this thread.
    Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    return {
        "url": f"ssh://127.0.0.1{folder}/digits",
        "port": str(port.result()),
        "user": "tester",
        "keyfile": f"{folder}/key",
    }


@pytest.mark.parametrize("server", [s3_server, ssh_server])
def test_all_runs_are_pushed_and_run_nowhere_else(
    small: Workspace, server: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    for name, value in server(tmp_path).items():
        small.dvc("remote", "modify", "storage", name, value)
    small.commit("Share data and models")
    said = small.make("push").stdout
    assert re.fullmatch(rf"\d\d+ files pushed, and the records of {len(STAGES) + 2} runs\n", said)
    assert not (small.home / "dvc-storage").exists()

    clone = small.clone(tmp_path / "clone")
    clone.run("git", "restore", "--source", ":/The repository as it is", "dvc.lock")
    assert clone.repro("--pull") == []
    assert clone.outputs() == small.outputs()
    assert "storage can be read and written" in clone.make("doctor").stdout
    clone.set_params(**{"train_hidden.units": WIDE})
    assert clone.repro("--pull") == []
    assert clone.outputs() != small.outputs()
