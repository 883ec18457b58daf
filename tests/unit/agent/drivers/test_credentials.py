"""A Secret says what it is for and where it may go, or it goes nowhere."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from agent.drivers.credentials import CredentialsRefused, read_credentials

PASSWORD = "planted-canary-pass"


def secret(
    hosts: str | None = "charts.example, Registry.example:5000",
    *,
    label: str = "artifacts",
    **data: str,
) -> dict[str, Any]:
    annotations = {} if hosts is None else {"arcbridge.io/hosts": hosts}
    return {
        "metadata": {
            "name": "login",
            "namespace": "shop",
            "labels": {"arcbridge.io/credentials-for": label},
            "annotations": annotations,
        },
        "data": {
            key.replace("__", "."): base64.b64encode(text.encode()).decode()
            for key, text in (data or {"username": "robot", "password": PASSWORD}).items()
        },
    }


def docker(**auths: dict[str, str]) -> dict[str, Any]:
    named = {key.replace("__", "."): value for key, value in auths.items()}
    return secret(None, __dockerconfigjson=json.dumps({"auths": named}))


def test_a_login_is_for_the_hosts_and_ports_that_are_named() -> None:
    found = read_credentials(secret())
    login = found.login("charts.example")
    assert login is not None
    assert base64.b64decode(login.authorization.removeprefix("Basic ")).decode() == (
        f"robot:{PASSWORD}"
    )
    assert found.login("registry.example", 5000) == login
    for host, port in (("registry.example", 443), ("charts.example", 8443), ("evil.example", 443)):
        assert found.login(host, port) is None
        assert not found.may_hear(host, port)


def test_a_token_is_sent_as_one_but_to_git_as_a_password() -> None:
    login = read_credentials(secret(token="t0ken\n")).login("charts.example")
    assert login is not None
    assert login.authorization == "Bearer t0ken"
    assert base64.b64decode(login.basic.removeprefix("Basic ")) == b"token:t0ken"


def test_a_docker_configuration_names_its_own_hosts() -> None:
    pair = base64.b64encode(b"robot:pa:ss").decode()
    found = read_credentials(
        docker(
            ghcr__example={"auth": pair},
            **{"https://index__docker__io/v1/": {"username": "u", "password": "p"}},
        )
    )
    login = found.login("ghcr.example")
    assert login is not None
    assert (login.username, login.password) == ("robot", "pa:ss")
    assert found.login("registry-1.docker.io") is not None
    assert found.login("index.docker.io") is None


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (secret(label="other"), "labels it arcbridge.io/credentials-for=artifacts"),
        ({"metadata": {"name": "login", "namespace": "shop"}}, "labels it"),
        (secret(None), "annotate it arcbridge.io/hosts="),
        (secret(" , "), "annotate it arcbridge.io/hosts="),
        (secret(username="robot"), "neither username and password"),
        (secret(password="a\nX-Evil: b"), "control characters"),
        (secret(None, __dockerconfigjson="{"), "not readable"),
        (docker(x={"auth": "%%%"}), "not readable"),
        (docker(x={}), "not readable"),
    ],
)
def test_what_cannot_be_used_says_why_and_shows_nothing(
    refused: dict[str, Any], words: str
) -> None:
    with pytest.raises(CredentialsRefused, match=words) as caught:
        read_credentials(refused)
    assert PASSWORD not in str(caught.value)


def test_credentials_have_no_representation() -> None:
    found = read_credentials(secret())
    shown = f"{found!r} {found.login('charts.example')!r}"
    assert PASSWORD not in shown
    assert "robot" not in shown
