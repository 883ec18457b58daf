"""The grants against a provider that plays its part over real HTTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from arcbridge.cli.config import Context
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.login import oidc
from arcbridge.cli.login.browser import Callback
from arcbridge.cli.login.cache import Tokens

Form = dict[str, str]
Answer = tuple[int, dict[str, object]]
TOKEN = {"access_token": "at", "expires_in": 60, "refresh_token": "rt"}


@contextmanager
def provider(
    token: Callable[[Form], Answer], *, has_devices: bool = True, lies: bool = False
) -> Iterator[Context]:
    """An OpenID provider whose token endpoint is `token`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = f"http://127.0.0.1:{server.server_port}"
            document = {
                "issuer": "https://someone.else" if lies else issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
            }
            if has_devices:
                document["device_authorization_endpoint"] = f"{issuer}/device"
            self.answer(200, document)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            form = dict(parse_qsl(self.rfile.read(length).decode()))
            if self.path == "/device":
                grant = {
                    "device_code": "dc",
                    "user_code": "ABCD",
                    "verification_uri": "https://login.test/device",
                    "expires_in": 100,
                    "interval": 5,
                }
                self.answer(200, grant)
            else:
                self.answer(*token(form))

        def answer(self, status: int, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Context(
            server="http://arcbridge.test", issuer=f"http://127.0.0.1:{server.server_port}"
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def refuse(error: str) -> Answer:
    return 400, {"error": error, "error_description": f"because {error}"}


def test_a_device_login_waits_as_asked_and_slows_down_when_told() -> None:
    answers = [
        refuse("authorization_pending"),
        refuse("slow_down"),
        refuse("authorization_pending"),
        (200, TOKEN),
    ]
    clock, shown = Clock(), []
    with provider(lambda _: answers.pop(0)) as context:
        tokens = oidc.with_device(
            context,
            lambda address, code: shown.append((address, code)),
            sleep=clock.sleep,
            monotonic=lambda: clock.now,
        )
    assert tokens.access_token == "at"
    assert shown == [("https://login.test/device", "ABCD")]
    assert clock.slept == [5.0, 5.0, 10.0, 10.0]


def test_a_device_login_that_nobody_answers_ends() -> None:
    clock = Clock()
    with (
        provider(lambda _: refuse("authorization_pending")) as context,
        pytest.raises(CommandError, match="in time"),
    ):
        oidc.with_device(context, lambda *_: None, sleep=clock.sleep, monotonic=lambda: clock.now)
    assert clock.now <= 105


def test_a_device_login_that_is_refused_says_why() -> None:
    clock = Clock()
    with (
        provider(lambda _: refuse("access_denied")) as context,
        pytest.raises(CommandError, match="because access_denied") as caught,
    ):
        oidc.with_device(context, lambda *_: None, sleep=clock.sleep, monotonic=lambda: clock.now)
    assert caught.value.status is Exit.DENIED


def test_a_provider_without_the_device_grant_is_told_of() -> None:
    with (
        provider(lambda _: (200, TOKEN), has_devices=False) as context,
        pytest.raises(CommandError, match="no device grant"),
    ):
        oidc.with_device(context, lambda *_: None)


def test_a_provider_that_speaks_for_another_issuer_is_refused() -> None:
    with (
        provider(lambda _: (200, TOKEN), lies=True) as context,
        pytest.raises(CommandError, match="someone"),
    ):
        oidc.with_secret(context, "s")


def test_a_refresh_keeps_the_refresh_token_where_no_new_one_comes() -> None:
    with provider(lambda _: (200, {"access_token": "new", "expires_in": 5})) as context:
        fresh = oidc.refreshed(context, Tokens("old", 0.0, "rt"))
    assert fresh is not None
    assert (fresh.access_token, fresh.refresh_token) == ("new", "rt")


def test_a_refresh_token_that_is_taken_no_more_gives_nothing() -> None:
    with provider(lambda _: refuse("invalid_grant")) as context:
        assert oidc.refreshed(context, Tokens("old", 0.0, "rt")) is None
        assert oidc.refreshed(context, Tokens("old", 0.0)) is None


def test_a_provider_that_is_away_is_said_to_be() -> None:
    context = Context(server="http://arcbridge.test", issuer="http://127.0.0.1:9")
    with pytest.raises(CommandError, match="does not answer") as caught:
        oidc.with_secret(context, "s")
    assert caught.value.status is Exit.UNAVAILABLE


def test_a_connection_that_the_browser_opened_ahead_does_not_hold_the_login_up() -> None:
    with Callback("state") as callback:
        port = urlsplit(callback.address).port
        with socket.create_connection(("127.0.0.1", port or 0)):
            answer = httpx.get(callback.address, params={"state": "state", "code": "abc"})
            assert answer.status_code == 200
            assert callback.wait(30) == "abc"
