"""The page of `make try` through its door, HTTP, with models that always see a Z."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from string import ascii_uppercase, digits
from threading import Thread
from typing import Any

import numpy as np
import pytest

from handwriting import page
from tests.photographs import SEVEN, drawn, file_bytes

PICTURE = file_bytes(drawn(SEVEN))
MODELS = ["linear", "hidden", "conv"]
LABELS = [*digits, "T-shirt/top", *ascii_uppercase]


@pytest.fixture
def port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[int]:
    """The port of the page, served in an empty folder. It logs no error, whatever the request."""
    monkeypatch.chdir(tmp_path)
    z = np.eye(len(LABELS))[-1:]
    server = page.server(page.application(lambda _: dict.fromkeys(MODELS, z), LABELS))
    server.config.timeout_keep_alive = 1
    with page.listen() as listener:
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        unfinished = HTTPConnection(*listener.getsockname())
        unfinished.request("POST", f"{page.BASE}recognize", headers={"Content-Length": "9"})
        # Its turn has come when the next one is answered.
        ask(listener.getsockname()[1], "names", method="GET")
        server.should_exit = True
        thread.join()
    assert not caplog.get_records("call") + caplog.records


# The status and the text of the answer.
def ask(port: int, path: str, body: bytes = PICTURE, method: str = "POST", **headers: str) -> Any:
    connection = HTTPConnection("127.0.0.1", port)
    path = path if path.startswith("/") else page.BASE + path
    connection.request(method, path, body, headers | {"Connection": "close"})
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_a_picture_is_answered_by_every_model(port: int) -> None:
    z = {"label": "Z", "unsure": False, "probabilities": [0] * 36 + [1]}
    assert json.loads(ask(port, "recognize")[1])["models"] == dict.fromkeys(MODELS, z)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_another_website_is_refused(port: int, name: str) -> None:
    own, evil, other = f"{name}:{port}", f"evil.example:{port}", f"{name}:1"
    for host, origin in ((evil, own), (evil, evil), (other, other), (own, evil), (own, other)):
        status, _ = ask(port, "keep?label=7", Host=host, Origin=f"http://{origin}")
        assert status == 403, (host, origin)
    assert ask(port, "keep?label=7", Host=own, Origin="null")[0] == 403
    assert not page.OWN.exists()
    assert ask(port, "keep?label=7", Host=own, Origin=f"http://{own}")[0] == 200


def test_a_request_without_the_token_is_refused(port: int) -> None:
    for base in ("/", f"/{page.BASE}", page.BASE[:-2], page.BASE.swapcase(), "/%C3%A9/"):
        refusal = (403, "Refused. Open the address printed in the terminal.")
        assert ask(port, f"{base}keep?label=7") == refusal, base


def test_an_unknown_method_is_refused(port: int) -> None:
    assert [ask(port, path, method="CONNECT")[0] for path in ("", "names", "/")] == [405] * 3


def test_idle_connections_and_slow_uploads_hold_up_nobody(port: int) -> None:
    size = f"Host: 127.0.0.1:{port}\r\nContent-Length: {len(PICTURE)}"
    head = f"POST {page.BASE}recognize HTTP/1.1\r\n{size}\r\n\r\n".encode()
    sent = [b"", head[:9]] * 100 + [head] * 25 + [head + PICTURE] * 25
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in sent]
    for connection, content in zip(connections, sent, strict=True):
        connection.sendall(content)
    assert {connection.recv(12) for connection in connections[-25:]} == {b"HTTP/1.1 200"}
    assert not any(connection.recv(1) for connection in connections[:200])


def test_no_path_is_read_or_written(port: int, tmp_path: Path) -> None:
    for path in ("../page.py", "..%2fpage.py", f"./{page.__file__}", "%00", "a" * 5000):
        assert ask(port, path, method="GET")[0] == 404, path
    for label in ("", "..", "../7", "10", "%ff%00"):
        assert ask(port, f"keep?label={label}")[0] == 422, label
    assert not list(tmp_path.iterdir())


def test_a_large_picture_is_refused_before_it_has_come(port: int) -> None:
    head = {"Content-Length": str(page.MAX_BYTES + 1)}
    assert ask(port, "recognize", b"", **head)[0] == 413
    assert ask(port, "recognize", b"") == (422, "The file is empty.")


def test_keeping_can_be_undone(port: int) -> None:
    for label, before in (("7", None), ("7", "7"), ("T-shirt/top", "7"), ("7", "T-shirt/top")):
        answer = json.loads(ask(port, f"keep?label={label}")[1])
        assert [str(path) for path in page.OWN.rglob("*.png")] == [answer["path"]]
        folder = page.OWN / label.replace("/", "%2F")
        assert (Path(answer["path"]).parent, answer["before"]) == (folder, before)
    assert json.loads(ask(port, "keep", method="DELETE")[1]) == {"path": None, "before": "7"}
    assert not list(page.OWN.rglob("*.png"))
