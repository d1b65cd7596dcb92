"""The page of `make try`: draw or load a digit, see the answers, save it with its label.

It answers browsers on this machine that have opened it, and no other website's requests. A request
holds a picture and perhaps a label, never a path; only saved images are stored.
"""

import base64
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

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
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed: make setup EXTRAS=handwriting")

OWN = Path("data/own")
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
PORT = 7860
MAX_BYTES = 20 * 10**6
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # A browser asks each time whether a file has changed.
    "Cache-Control": "no-cache",
}


def main() -> None:
    trained = recognize.read()
    if rev := os.environ.get("REV"):
        trained = recognize.with_revision(trained, rev)
    app = application(recognize.start(trained), trained.labels)
    with listen() as listener:
        port = listener.getsockname()[1]
        if "SSH_CONNECTION" in os.environ:
            print(f"First, on your own machine: ssh -L {port}:127.0.0.1:{port} HOST")
        print(f"Open http://127.0.0.1:{port} in a browser. Ctrl-C ends it.", flush=True)
        server(app).run(sockets=[listener])


def listen() -> socket.socket:
    """A socket that listens on PORT, or on another port if that is taken."""
    with suppress(OSError):
        return socket.create_server((LOOPBACK[0], PORT))
    return socket.create_server((LOOPBACK[0], 0))


def server(app: Starlette) -> uvicorn.Server:
    """The server of the application; its `run` takes the sockets to listen on."""
    config = uvicorn.Config(
        app,
        ws="none",
        log_level="error",
        # Its own would close TensorFlow's handler, and standard error with it.
        log_config=None,
        limit_concurrency=20,
        # Ctrl-C waits no longer for somebody who sends nothing more.
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def application(recognizer: Recognizer, labels: Sequence[str]) -> Starlette:
    """The files in static/, and the requests that they send.

    POST /recognize answers with the image that the models see in a picture, and their predictions.
    POST /keep?label=7 stores that image, and answers with its path and its label before; DELETE
    /keep removes it.
    """
    # Compiles the models.
    models = list(recognizer(np.zeros((1, preprocess.SIDE, preprocess.SIDE), np.uint8)))

    # One picture is decoded at a time: while they work, no other request is answered.
    async def answer(request: Request) -> Response:
        images = preprocess.digits(await request.body())
        found = recognizer(images)
        predictions = {
            name: {
                "label": labels[int(shares.argmax())],
                "unsure": recognize.unsure(found),
                "probabilities": shares.round(6).tolist(),
            }
            for name, [shares] in found.items()
        }
        png = base64.b64encode(collection.png_bytes(images[0])).decode()
        return JSONResponse({"image": f"data:image/png;base64,{png}", "models": predictions})

    async def keep(request: Request) -> Response:
        label = None
        if request.method == "POST":
            label = request.query_params.get("label", "")
            collection.check_label(label, labels)
        image = preprocess.digits(await request.body())[0]
        try:
            path, before = collection.keep(image, label, OWN)
        except OSError as error:
            raise UserError(f"not saved: {error.filename}: {error.strerror}") from None
        return JSONResponse({"path": path and str(path), "before": before})

    return Starlette(
        routes=[
            Route("/names", JSONResponse({"models": models, "labels": labels})),
            Route("/recognize", answer, methods=["POST"], max_body_size=MAX_BYTES),
            Route("/keep", keep, methods=["POST", "DELETE"], max_body_size=MAX_BYTES),
            Mount("/", StaticFiles(directory=Path(__file__).parent / "static", html=True)),
        ],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=_guard),
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK),
        ],
        exception_handlers={UserError: _refusal, ClientDisconnect: _refusal},
    )


async def _guard(request: Request, answer: RequestResponseEndpoint) -> Response:
    """Refuse requests from other websites, and those meant for another port."""
    page, port = f"http://{request.headers.get('host')}", request.scope["server"][1]
    if page.endswith(f":{port}") and request.headers.get("origin", page) == page:
        response = await answer(request)
    else:
        response = PlainTextResponse(f"Refused. Open http://127.0.0.1:{port} in a browser.", 403)
    response.headers.update(HEADERS)
    return response


async def _refusal(request: Request, error: Exception) -> Response:
    text = str(error)
    return PlainTextResponse(f"{text[:1].upper()}{text[1:]}.", 422)


if __name__ == "__main__":
    run_main(main)
