"""Credentials for artifacts, read from a Secret of the cluster. Pure: the Secret's object goes in.

Whoever writes an extension chooses both the Secret and the URL. So the Secret itself has to say
that it is meant for this, by a label, and which hosts it may be sent to: otherwise an extension
could have any Secret's content delivered to a server of its author's.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PURPOSE_LABEL = "arcbridge.io/credentials-for"
PURPOSE = "artifacts"
HOSTS_ANNOTATION = "arcbridge.io/hosts"
_DOCKER_CONFIG = ".dockerconfigjson"
_DOCKER_HUB = "registry-1.docker.io"
_ALIASES = {"docker.io": _DOCKER_HUB, "index.docker.io": _DOCKER_HUB}


class CredentialsRefused(ValueError):
    """The Secret is not one to send anywhere, or holds nothing that could be sent."""


@dataclass(frozen=True)
class Login:
    """What one host is told: a user's name and password, or a bearer token."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def authorization(self) -> str:
        """The value of the header `Authorization` (RFC 7617, RFC 6750)."""
        if self.token:
            return f"Bearer {self.token}"
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def basic(self) -> str:
        """The same for servers that know names and passwords only, as Git's mostly do."""
        if self.token:
            return Login(username="token", password=self.token).authorization
        return self.authorization


@dataclass(frozen=True)
class Credentials:
    """Logins by host, and the hosts that may be told one."""

    source: str
    """The Secret, for messages."""
    logins: Mapping[str, Login] = field(repr=False)
    """By `host` or `host:port`."""
    hosts: frozenset[str] = frozenset()
    """Hosts that may be told the login of a registry that sends us there for its token."""

    def login(self, host: str, port: int = 443) -> Login | None:
        """What may be sent to a host."""
        return self.logins.get(f"{host}:{port}") or (self.logins.get(host) if port == 443 else None)

    def may_hear(self, host: str, port: int = 443) -> bool:
        """True for a host that any of it may be sent to."""
        return self.login(host, port) is not None or _named(host, port) in self.hosts


def read_credentials(secret: Mapping[str, Any]) -> Credentials:
    """What a Secret holds for artifacts. Raises CredentialsRefused that says what is wrong.

    It holds `username` and `password` (`kubernetes.io/basic-auth`), or `token`, both for the hosts
    of its annotation; or `.dockerconfigjson`, whose hosts are its own.
    """
    meta = secret.get("metadata") or {}
    name = f"{meta.get('namespace')}/{meta.get('name')}"
    if (meta.get("labels") or {}).get(PURPOSE_LABEL) != PURPOSE:
        raise CredentialsRefused(
            f"the Secret {name} is not meant for this: whoever owns it labels it "
            f"{PURPOSE_LABEL}={PURPOSE}"
        )
    hosts = _hosts((meta.get("annotations") or {}).get(HOSTS_ANNOTATION, ""))
    data = _decoded(name, secret.get("data") or {})
    if _DOCKER_CONFIG in data:
        return Credentials(name, _docker_logins(name, data[_DOCKER_CONFIG]), hosts)
    login = _login(name, data)
    if not hosts:
        raise CredentialsRefused(
            f"the Secret {name} does not say where it may be sent: annotate it "
            f"{HOSTS_ANNOTATION}=HOST[,HOST:PORT…]"
        )
    return Credentials(name, dict.fromkeys(hosts, login), hosts)


def _login(name: str, data: Mapping[str, str]) -> Login:
    if data.get("token"):
        return Login(token=_one_line(name, "token", data["token"]))
    if not data.get("password"):
        raise CredentialsRefused(
            f"the Secret {name} holds neither username and password, nor token, "
            f"nor {_DOCKER_CONFIG}"
        )
    return Login(
        _one_line(name, "username", data.get("username", "")),
        _one_line(name, "password", data["password"]),
    )


def _one_line(name: str, key: str, text: str) -> str:
    """Files often end with a line's end, which is no part of what they hold."""
    stripped = text.strip("\r\n")
    if any(ord(char) < 32 or ord(char) == 127 for char in stripped):
        raise CredentialsRefused(f"{key} of the Secret {name} holds control characters")
    return stripped


def _docker_logins(name: str, text: str) -> dict[str, Login]:
    """The `auths` of a Docker configuration; credential helpers in it are not asked."""
    try:
        auths = json.loads(text)["auths"]
        found = {_host_of(key): _docker_login(entry) for key, entry in auths.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CredentialsRefused(
            f"{_DOCKER_CONFIG} of the Secret {name} is not readable"
        ) from error
    return found


def _docker_login(entry: Mapping[str, Any]) -> Login:
    if "auth" in entry:
        pair = base64.b64decode(entry["auth"], validate=True).decode()
        username, _, password = pair.partition(":")
        return Login(username, password)
    return Login(str(entry["username"]), str(entry["password"]))


def _host_of(key: str) -> str:
    """`https://index.docker.io/v1/` and `registry.example:5000` alike."""
    host = urlsplit(key).netloc if "://" in key else key.partition("/")[0]
    host = host.lower().removesuffix(":443")
    return _ALIASES.get(host, host)


def _hosts(text: str) -> frozenset[str]:
    return frozenset(_host_of(part.strip()) for part in text.split(",") if part.strip())


def _named(host: str, port: int) -> str:
    return host if port == 443 else f"{host}:{port}"


def _decoded(name: str, data: Mapping[str, str]) -> dict[str, str]:
    try:
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise CredentialsRefused(f"the Secret {name} holds what is not text") from error
