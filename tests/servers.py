"""Real servers on loopback that tests share data through, start, freeze and kill."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import s3fs
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem


@dataclass(frozen=True)
class Remote:
    """A place that DVC can push to, and what the test itself sees there."""

    url: str
    files: AbstractFileSystem
    # What else `dvc remote modify` has to set, and what DVC's environment has to hold.
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def objects(self) -> dict[str, bytes]:
        """What is stored: content by MD5 sum."""
        paths = [path for path in self.files.find(self._path) if "/files/md5/" in path]
        return {"".join(path.split("/")[-2:]): self.files.cat_file(path) for path in paths}

    def path_of(self, md5: str) -> str:
        """Where `files` has the object."""
        return f"{self._path}/files/md5/{md5[:2]}/{md5[2:]}"

    @property
    def _path(self) -> str:
        return str(self.files._strip_protocol(self.url))


S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "loopback"}


class Server:
    """A program that listens on a free port of 127.0.0.1, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What to run; it stays in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What the program sees of its own besides this process's environment."""
        return {}

    def start(self) -> None:
        """Start the program and wait until it accepts connections."""
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=os.environ | self.environment(),
                stdout=log,
                stderr=log,
            )
        wait_until(self._accepts)

    def freeze(self) -> None:
        """From now on the kernel accepts connections, and nobody answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on where `freeze` stopped."""
        self._running().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the program at once, in the middle of whatever it does."""
        process = self._running()
        process.kill()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start() comes first"
        return self._process

    def _accepts(self) -> bool:
        assert self._running().poll() is None, (self.folder / "log.txt").read_text()
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


class S3Server(Server):
    """Moto's S3 server. What it has stored outlives `kill`: `start` replays moto's own record.

    Moto holds everything in memory and appends each request to its record before it answers, so
    an object whose upload was confirmed is there again, as with a server that has a disk.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._record = folder / "requests.jsonl"
        self._record.touch()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        return {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(self._record)}

    def start(self) -> None:
        # A line that the kill cut off is a request that was never answered.
        complete, _, _ = self._record.read_bytes().rpartition(b"\n")
        self._record.write_bytes(complete + b"\n" if complete else b"")
        super().start()
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        replay = f"{self.endpoint}/moto-api/recorder/replay-recording"
        direct.open(urllib.request.Request(replay, method="POST")).close()  # noqa: S310

    def remote(self, bucket: str) -> Remote:
        """A remote in a new bucket."""
        files = s3fs.S3FileSystem(
            key=S3_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret=S3_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.endpoint,
            config_kwargs={"proxies": {}},
            use_listings_cache=False,
        )
        files.mkdir(bucket)
        options = {"endpointurl": self.endpoint}
        return Remote(f"s3://{bucket}/digits", files, options, S3_CREDENTIALS)


def folder_remote(folder: Path) -> Remote:
    """A remote in a local folder."""
    return Remote(str(folder), LocalFileSystem())


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Return as soon as `happened()`; fail if it has not within `seconds`."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"nothing happened for {seconds} s"
        time.sleep(0.005)
