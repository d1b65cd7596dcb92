"""Moto's S3 server, for a process of its own: python tests/s3_server.py PORT [UPLOADS]

It answers one request after another, so that moto's record of them is in order, too. With UPLOADS,
the process dies in the middle of the upload that follows so many others.
"""

import os
import signal
import sys
from collections.abc import Iterable
from itertools import count
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple


class OneAtATime:
    """A WSGI application around moto's."""

    def __init__(self, uploads: int | None) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._turn = Lock()
        self._uploads = count()
        self._most = uploads
        self._replays = False

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/moto-api/"):
            # Moto replays its record by sending itself requests, and those are no new uploads.
            self._replays = True
            response: Iterable[bytes] = self._moto(environ, start_response)
            self._replays = False
            return response
        with self._turn:
            new_upload = environ["REQUEST_METHOD"] == "PUT" and not self._replays
            if new_upload and next(self._uploads) == self._most:
                os.kill(os.getpid(), signal.SIGKILL)
            return self._moto(environ, start_response)  # type: ignore[no-any-return]


application = OneAtATime(int(sys.argv[2]) if len(sys.argv) > 2 else None)
port = int(sys.argv[1])
run_simple("127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler)
