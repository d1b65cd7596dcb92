"""Servers on loopback that tests share data through."""

import getpass
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from tests.conftest import Workspace


class Remote(NamedTuple):
    """What `dvc remote modify` has to set, and what DVC's environment has to hold."""

    options: dict[str, str]
    environment: dict[str, str]

    def share(self, workspace: Workspace) -> None:
        """Make this the default remote of a workspace and its clones to come."""
        for option, value in self.options.items():
            workspace.dvc("remote", "modify", "storage", option, value)
        workspace.commit("Share data and models")


class S3Server:
    """Moto's S3 server, in a thread."""

    def __init__(self) -> None:
        # Takes seconds to import.
        from moto.moto_server import werkzeug_app
        from werkzeug.serving import make_server

        self._moto = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
        self._uploads: Iterator[int] = count()
        self._most: int | None = None
        self._dead = False
        handler = werkzeug_app.MotoRequestHandler
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and next(self._uploads) == self._most:
            self._dead = True
        if self._dead:
            # Werkzeug then closes the connection without an answer.
            raise ConnectionResetError
        return self._moto(environ, start_response)  # type: ignore[no-any-return]

    @contextmanager
    def dying_after(self, uploads: int) -> Iterator[None]:
        """Within, it answers nothing any more once so many files have been uploaded."""
        self._uploads, self._most = count(), uploads
        try:
            yield
        finally:
            self._most, self._dead = None, False

    def stop(self) -> None:
        self._server.shutdown()

    def remote(self, bucket: str) -> Remote:
        """A remote in a new bucket."""
        endpoint = f"http://127.0.0.1:{self._server.port}"
        create = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")  # noqa: S310
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(create, timeout=60).close()
        options = {"url": f"s3://{bucket}/digits", "endpointurl": endpoint}
        credentials = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "loopback"}
        return Remote(options, credentials)


class SSHServer:
    """OpenSSH's server with keys and a configuration of its own, for the current user."""

    def __init__(self, sshd: str, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        for name in ("key", "host_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "key.pub", folder / "authorized_keys")
        config = folder / "sshd_config"
        config.write_text(
            f"""
            ListenAddress 127.0.0.1
            Port {self._port}
            HostKey {folder}/host_key
            PidFile none
            AuthorizedKeysFile {folder}/authorized_keys
            AuthenticationMethods publickey
            StrictModes no
            UsePAM no
            Subsystem sftp internal-sftp
            """
        )
        if os.geteuid() == 0:
            # Run by root, sshd needs this folder; usually the system's own service makes it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL
        )
        wait_until(lambda: accepts_connections(self._port))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def remote(self, name: str) -> Remote:
        """A remote in a new folder."""
        return Remote(
            {
                "url": f"ssh://127.0.0.1{self._folder}/{name}/digits",
                "port": str(self._port),
                "user": getpass.getuser(),
                "keyfile": f"{self._folder}/key",
            },
            environment={},
        )


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def accepts_connections(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Return as soon as `happened()`; fail if it has not within `seconds`."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"nothing happened for {seconds} s"
        time.sleep(0.005)
