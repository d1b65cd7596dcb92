"""The page of `make try`: draw or load a digit, see the answers, save it with its label.

It answers a browser on this machine that has the address printed, which holds a token. A request
holds a picture and perhaps a label, never a path; only saved images are stored.
"""

import base64
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from handwriting import collection, preprocess, recognize
from handwriting.recognize import Recognizer

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup EXTRAS=handwriting")

OWN = Path("data/own")
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
PORT = 7860
# A token, as in Jupyter's addresses. A cookie would be sent to other users' ports, too.
BASE = f"/{secrets.token_urlsafe(16)}/"
METHODS = ["GET", "HEAD", "POST", "DELETE"]
MAX_BYTES = 20 * 10**6
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A browser asks each time whether a file has changed.
    "Cache-Control": "no-cache",
}.items()


def main() -> None:
    trained = recognize.read()
    if rev := os.environ.get("REV"):
        trained = recognize.with_revision(trained, rev)
    app = application(recognize.start(trained), trained.labels)
    with listen() as listener:
        port = listener.getsockname()[1]
        if "SSH_CONNECTION" in os.environ:
            print(f"First, on your own machine: ssh -L {port}:127.0.0.1:{port} HOST")
        print(f"Open http://127.0.0.1:{port}{BASE} in a browser. Press Ctrl-C to stop.", flush=True)
        server(app).run(sockets=[listener])


class Connection(H11Protocol):
    """A connection that is closed on Ctrl-C, or if no complete head of a request comes in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # The first request must come in the time that Uvicorn grants for each further one.
        self.on_response_complete()

    def data_received(self, data: bytes) -> None:
        # Uvicorn stops the clock at the first byte; handle_events stops it once a head is complete.
        self.conn.receive_data(data)
        self.handle_events()

    def shutdown(self) -> None:
        self.transport.abort()


def listen() -> socket.socket:
    """Return a socket that listens on PORT, or on a different port if that is taken."""
    with suppress(OSError):
        return socket.create_server((LOOPBACK[0], PORT))
    return socket.create_server((LOOPBACK[0], 0))


def server(app: Starlette) -> uvicorn.Server:
    """Return the server of the application; its `run` takes the sockets to listen on."""
    # Uvicorn's default logging would close TensorFlow's handler, and with it stderr.
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="error",
        log_config=None,
        headers=[*HEADERS],
        # A connection may be made while the others are aborted.
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def application(recognizer: Recognizer, labels: Sequence[str]) -> Starlette:
    """Return the application: the files in static/, and answers to the requests that they send.

    POST /recognize answers with the image that the models see in a picture, and their predictions.
    POST /keep?label=7 stores it, and answers with its path and its label before; DELETE removes it.
    """
    # The first call compiles the models.
    models = list(recognizer(np.zeros((1, preprocess.SIDE, preprocess.SIDE), np.uint8)))

    # Pictures are decoded one after another, which bounds memory; no request is answered meanwhile.
    async def predict(request: Request) -> Response:
        images = preprocess.digits(await request.body())
        probabilities = recognizer(images)
        predictions = {
            name: {
                "label": labels[int(values.argmax())],
                "unsure": recognize.unsure(probabilities, images),
                "probabilities": values.round(6).tolist(),
            }
            for name, [values] in probabilities.items()
        }
        png = base64.b64encode(collection.png_bytes(images[0])).decode()
        return JSONResponse({"image": f"data:image/png;base64,{png}", "models": predictions})

    async def keep(request: Request) -> Response:
        label = None
        if request.method == "POST":
            label = request.query_params.get("label", "")
            collection.check_label(label, labels)
        image = preprocess.digits(await request.body())[0]
        path, before = collection.keep(image, label, OWN)
        return JSONResponse({"path": path and str(path), "before": before})

    routes = [
        Route("/names", JSONResponse({"models": models, "labels": labels}), methods=["GET"]),
        Route("/recognize", predict, methods=["POST"]),
        Route("/keep", keep, methods=["POST", "DELETE"]),
        Mount("/", StaticFiles(directory=Path(__file__).parent / "static", html=True)),
    ]
    return Starlette(
        routes=[Mount(BASE, routes=routes, max_body_size=MAX_BYTES)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_guard)],
        exception_handlers=dict.fromkeys((UserError, OSError, ClientDisconnect), _refusal),
    )


async def _guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Refuse requests without the token, from a website, or meant for a different port."""
    host, port = request.headers.get("host"), request.scope["server"][1]
    if request.method not in METHODS:
        return Response(status_code=405, headers={"Allow": ", ".join(METHODS)})
    if (
        host in [f"{name}:{port}" for name in LOOPBACK]
        and request.headers.get("origin", f"http://{host}") == f"http://{host}"
        and secrets.compare_digest(request.scope["path"][: len(BASE)].encode(), BASE.encode())
    ):
        return await call_next(request)
    return PlainTextResponse("Refused. Open the address printed in the terminal.", 403)


async def _refusal(request: Request, error: Exception) -> Response:
    text = f"not saved: {error}" if isinstance(error, OSError) else str(error)
    return PlainTextResponse(f"{text[:1].upper()}{text[1:]}.", 422)


if __name__ == "__main__":
    run_main(main)
