"""The other end of a login in the browser: one address on loopback that takes one answer.

Listens on 127.0.0.1 only, on a port of the system's choice, for as long as one login lasts; an
answer with another `state` than the login's own is refused (RFC 8252, 8.9).
"""

from __future__ import annotations

import hmac
import queue
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

from arcbridge.cli.exits import CommandError, Exit

SILENT_SECONDS = 5.0
"""After so long without a request a connection is closed."""
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>ArcBridge</title>"
    "<p style='font:1rem system-ui;margin:4rem auto;max-width:30rem'>{}</p>"
)


class Callback:
    """A context manager: listens until its answer has come."""

    def __init__(self, state: str) -> None:
        self._answers: queue.Queue[dict[str, str]] = queue.Queue(maxsize=1)
        # A thread for each connection: browsers open some ahead and say nothing on them.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state, self._answers))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """The redirect address of this login."""
        return f"http://127.0.0.1:{self._server.server_port}/signed-in"

    def wait(self, seconds: float) -> str:
        """The authorization code. Raises CommandError when refused or too late."""
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise CommandError(Exit.DENIED, f"nobody logged in within {seconds:.0f} s") from None
        if "code" not in answer:
            said = answer.get("error_description") or answer.get("error") or "no reason given"
            raise CommandError(Exit.DENIED, f"the login was refused: {said}")
        return answer["code"]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(state: str, answers: queue.Queue[dict[str, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SILENT_SECONDS

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path != "/signed-in" or not hmac.compare_digest(
                answer.get("state", "").encode(), state.encode()
            ):
                self._say(HTTPStatus.NOT_FOUND, "This address is for one login only.")
                return
            words = "You are logged in" if "code" in answer else "The login was refused"
            self._say(HTTPStatus.OK, f"{words}. You can close this window.")
            # Last: whoever waits for it ends the program. The first answer counts.
            with suppress(queue.Full):
                answers.put_nowait(answer)

        def _say(self, status: HTTPStatus, words: str) -> None:
            content = _PAGE.format(words).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: the code stands in the address."""

    return Handler
