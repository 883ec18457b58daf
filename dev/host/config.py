"""What the host is told: `host.json`, app settings, keys."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

DEFAULT_TIMEOUT = timedelta(minutes=30)
DEFAULT_BODY_BYTES = 104_857_600
_SETTING_REFERENCE = re.compile(r"%([^%]+)%")
_TIME_SPAN = re.compile(r"(?:(?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)")


class HostError(Exception):
    """The host cannot start; the text says what to change."""


@dataclass(frozen=True)
class HostConfig:
    """The parts of host.json (schema 2.0) that this host follows."""

    route_prefix: str = "api"
    function_timeout: timedelta = DEFAULT_TIMEOUT
    running_at_once: int | None = None
    """`maxConcurrentRequests`: how many HTTP functions run at a time; the others wait."""
    outstanding: int | None = None
    """`maxOutstandingRequests`: beyond these, running and waiting, a request is answered 429."""


@dataclass(frozen=True)
class Keys:
    """Host-level keys: `function` opens functions of level `function`, `master` everything."""

    function: str = field(repr=False)
    master: str = field(repr=False)


def read_host_json(path: Path) -> HostConfig:
    """Read host.json; raises HostError when it is not one of schema 2.0."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise HostError(f"{path} cannot be read: {error}") from error
    if content.get("version") != "2.0":
        raise HostError(f'{path}: "version" must be "2.0"')
    http = content.get("extensions", {}).get("http", {})
    timeout = content.get("functionTimeout")
    return HostConfig(
        route_prefix=http.get("routePrefix", "api").strip("/"),
        function_timeout=time_span(timeout) if timeout else DEFAULT_TIMEOUT,
        running_at_once=_bound(http.get("maxConcurrentRequests")),
        outstanding=_bound(http.get("maxOutstandingRequests")),
    )


def _bound(value: int | None) -> int | None:
    """None for no bound, which host.json may write as -1."""
    return None if value is None or value < 0 else value


def time_span(text: str) -> timedelta:
    """A .NET TimeSpan (`[d.]hh:mm:ss`)."""
    found = _TIME_SPAN.fullmatch(text)
    if found is None:
        raise HostError(f"{text!r} is not a time span such as 00:05:00")
    return timedelta(**{unit: int(value or 0) for unit, value in found.groupdict().items()})


def resolve_settings(text: str, settings: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by the app setting; raises HostError when it is not set."""

    def value_of(found: re.Match[str]) -> str:
        value = settings.get(found[1])
        if not value:
            raise HostError(f"%{found[1]}% does not resolve: set the app setting {found[1]}")
        return value

    return _SETTING_REFERENCE.sub(value_of, text)


def local_settings(path: Path) -> Mapping[str, str]:
    """The `Values` of a local.settings.json; empty when there is no such file."""
    if not path.exists():
        return {}
    values: Mapping[str, str] = json.loads(path.read_text()).get("Values", {})
    return values


def load_keys(path: Path) -> Keys:
    """The keys kept in `path`, made on first use."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        fresh = {"function": secrets.token_urlsafe(32), "master": secrets.token_urlsafe(32)}
        path.write_text(json.dumps(fresh))
    return Keys(**json.loads(path.read_text()))
