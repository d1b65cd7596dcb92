"""Real servers on loopback that tests share data through, start, freeze and kill."""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import psutil
import s3fs
from botocore.config import Config
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
        """The URL without protocol and, over SSH, host: a bucket or folder."""
        scheme, _, path = self.url.rpartition("://")
        return path.removeprefix("127.0.0.1") if scheme == "ssh" else path


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
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        """Go on where `freeze` stopped."""
        for process in self._processes():
            process.resume()

    def kill(self) -> None:
        """End the program at once, in the middle of whatever it does."""
        for process in self._processes():
            process.kill()
        self._running().wait()

    def _processes(self) -> list[psutil.Process]:
        """The program and, as sshd has one for each connection, its children; none if it ended."""
        if self._running().poll() is not None:
            return []
        program = psutil.Process(self._running().pid)
        return [program, *program.children(recursive=True)]

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
        self._uploads: list[str] = []

    def command(self) -> list[str]:
        program = Path(__file__).with_name("s3_server.py")
        return [sys.executable, str(program), str(self.port), *self._uploads]

    def environment(self) -> dict[str, str]:
        record = {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(self._record)}
        return record | {"no_proxy": "127.0.0.1"}

    def start(self) -> None:
        # A line that the kill cut off is a request that was never answered.
        lines = self._record.read_bytes().splitlines(keepends=True)
        self._record.write_bytes(b"".join(line for line in lines if line.endswith(b"\n")))
        super().start()
        self._ask_moto("recorder/replay-recording")

    def restart(self, uploads: int | None = None) -> None:
        """Kill it and start it again; it then dies in the middle of the upload after so many."""
        self.kill()
        self._uploads = [] if uploads is None else [str(uploads)]
        self.start()

    @contextmanager
    def locked(self) -> Iterator[dict[str, str]]:
        """Within, only these credentials are accepted."""
        iam = boto3.client(
            "iam",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=S3_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=S3_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}),
        )
        iam.create_user(UserName="member")
        allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        iam.put_user_policy(
            UserName="member",
            PolicyName="share",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )
        key = iam.create_access_key(UserName="member")["AccessKey"]
        self._ask_moto("reset-auth", b"0")
        try:
            yield {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
        finally:
            self._ask_moto("reset-auth", b"inf")

    def _ask_moto(self, what: str, data: bytes = b"") -> None:
        request = urllib.request.Request(  # noqa: S310
            f"{self.endpoint}/moto-api/{what}", data, {"Content-Type": "text/plain"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(request, timeout=60).close()

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


class SSHServer(Server):
    """An OpenSSH server with a host key and a configuration of its own, for the current user."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.key = folder / "key"
        host_key = folder / "host_key"
        for path in (self.key, host_key):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path],
                check=True,
                stdin=subprocess.DEVNULL,
            )
        shutil.copy(self.key.with_suffix(".pub"), folder / "authorized_keys")
        (folder / "sshd_config").write_text(
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

    def command(self) -> list[str]:
        # sshd wants to be called by its whole path.
        return [str(sshd()), "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def start(self) -> None:
        if os.geteuid() == 0:
            # Where sshd, run by root, shuts away what it has not authenticated yet; otherwise the
            # system's own service makes it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        super().start()

    def remote(self, name: str) -> Remote:
        """A remote in a new folder."""
        options = {
            "port": str(self.port),
            "user": getpass.getuser(),
            "keyfile": str(self.key),
        }
        return Remote(f"ssh://127.0.0.1{self.folder}/{name}/digits", LocalFileSystem(), options)


def sshd() -> Path | None:
    """OpenSSH's server, where it is installed."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


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
