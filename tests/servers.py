"""Remotes that tests share data through: a folder, an S3 server, an SSH server."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from tests.conftest import Workspace


@dataclass(frozen=True)
class Remote:
    """A place that DVC can push to, and what the test itself sees there."""

    url: str
    files: AbstractFileSystem
    # What else `dvc remote modify` has to set, and what DVC's environment has to hold.
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def share(self, workspace: Workspace) -> None:
        """Make this the default remote of a workspace and its clones to come."""
        for option, value in ({"url": self.url} | self.options).items():
            workspace.dvc("remote", "modify", "storage", option, value)
        workspace.commit("Share data and models")

    def objects(self) -> dict[str, bytes]:
        """What is stored: content by MD5 sum."""
        paths = [path for path in self.files.find(self._path) if "/files/md5/" in path]
        return {"".join(path.split("/")[-2:]): self.files.cat_file(path) for path in paths}

    def path_of(self, md5: str) -> str:
        """Where `files` has the object."""
        return f"{self._path}/files/md5/{md5[:2]}/{md5[2:]}"

    @property
    def _path(self) -> str:
        """The URL without protocol and, over SSH, host: a bucket or folder."""
        scheme, _, path = self.url.rpartition("://")
        return path.removeprefix("127.0.0.1") if scheme == "ssh" else path


def folder_remote(folder: Path) -> Remote:
    """A remote in a local folder."""
    return Remote(str(folder), LocalFileSystem())


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
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
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
        import s3fs

        credentials = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "loopback"}
        files = s3fs.S3FileSystem(
            key=credentials["AWS_ACCESS_KEY_ID"],
            secret=credentials["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.endpoint,
            config_kwargs={"proxies": {}},
            use_listings_cache=False,
        )
        files.mkdir(bucket)
        return Remote(f"s3://{bucket}/digits", files, {"endpointurl": self.endpoint}, credentials)


class SSHServer:
    """OpenSSH's server with keys and a configuration of its own, for the current user."""

    def __init__(self, sshd: str, folder: Path) -> None:
        self.folder, self.port, self.key = folder, free_port(), folder / "key"
        host_key = folder / "host_key"
        for path in (self.key, host_key):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(self.key.with_suffix(".pub"), folder / "authorized_keys")
        config = folder / "sshd_config"
        config.write_text(
            f"""
            ListenAddress 127.0.0.1
            Port {self.port}
            HostKey {host_key}
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
        wait_until(lambda: accepts_connections(self.port))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def remote(self, name: str) -> Remote:
        """A remote in a new folder."""
        options = {"port": str(self.port), "user": getpass.getuser(), "keyfile": str(self.key)}
        return Remote(f"ssh://127.0.0.1{self.folder}/{name}/digits", LocalFileSystem(), options)


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


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
