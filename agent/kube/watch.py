"""Watches that do not end: list, watch from there, and list again when the server forgot.

A consumer gets `Listed` with everything there is, then `Changed` for each change, and `Listed`
again whenever the chain of changes broke; so it never has to guess what it missed.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import KubeError, KubeForbidden, KubeGone, KubeNotFound, KubeUnreachable
from agent.kube.rest import Object, Params, Rest
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

WATCH_SECONDS = 290
"""How long one watch request may last before it is renewed."""
_SILENCE_SECONDS = WATCH_SECONDS + 30
_BACKOFF_BASE_SECONDS = 0.5
_BACKOFF_MAX_SECONDS = 30.0
_LASTING_SECONDS = 60.0
"""Watches that went on for this long were good ones, even if nothing changed."""
_SHORT_SECONDS = 1.0
"""A watch that ends so soon, and without a word, is not one that came to its end."""


class ChangeType(StrEnum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True)
class Listed:
    """Everything that matches, now."""

    items: tuple[Object, ...]


@dataclass(frozen=True)
class Changed:
    """One change; for DELETED the object as it last was."""

    type: ChangeType
    object: Object


ListAll = Callable[[], Awaitable[tuple[tuple[Object, ...], str]]]
Pause = Callable[[float], Awaitable[None]]


async def watch_forever(
    rest: Rest,
    path: str,
    selectors: Mapping[str, str],
    headers: Mapping[str, str],
    list_all: ListAll,
    pause: Pause = asyncio.sleep,
) -> AsyncIterator[Listed | Changed]:
    """Yield until cancelled. Raises KubeNotFound and KubeForbidden; waits out everything else.

    A list that succeeds makes no watch: as long as the watches fail, the waits between two lists
    grow, because a list of everything is what an API server in trouble can do with least.
    """
    clock = asyncio.get_running_loop().time
    failures = 0
    while True:
        began = clock()
        try:
            items, version = await list_all()
            yield Listed(items)
            async for change in _watch_from(rest, path, selectors, headers, version):
                failures = 0
                yield change
        except (KubeNotFound, KubeForbidden):
            raise
        except KubeGone:
            log.info("watch too old, listing again", path=path)
        except KubeError as error:
            log.warning("watch broken", path=path, error=str(error)[:300])
        failures = 1 if clock() - began >= _LASTING_SECONDS else failures + 1
        delay = min(_BACKOFF_MAX_SECONDS, _BACKOFF_BASE_SECONDS * 2.0 ** min(failures, 16))
        await pause(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


async def _watch_from(
    rest: Rest, path: str, selectors: Mapping[str, str], headers: Mapping[str, str], version: str
) -> AsyncIterator[Changed]:
    """Watch on and on from `version`; raises KubeGone when the server does not know it any more,
    KubeUnreachable when it ends a watch as soon as it begins."""
    clock = asyncio.get_running_loop().time
    while True:
        began, silent = clock(), True
        params: Params = {
            **selectors,
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        async with rest.stream(path, params, headers) as lines:
            iterator = aiter(lines)
            while (line := await _next_line(iterator, path)) is not None:
                if not line:
                    continue
                silent = False
                kind, obj = _event(line, path)
                if kind == "ERROR":
                    raise _error(obj, path)
                version = obj.get("metadata", {}).get("resourceVersion", version)
                if kind in ("ADDED", "MODIFIED", "DELETED"):
                    yield Changed(ChangeType(kind), obj)
        if silent and clock() - began < _SHORT_SECONDS:
            raise KubeUnreachable(f"watch {path}: it ends at once", reason="Ended")


def _event(line: bytes, path: str) -> tuple[str, Object]:
    """Raises KubeUnreachable for what is no event: the connection was cut within a line."""
    try:
        event = json.loads(line)
        kind, obj = event["type"], event["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise KubeUnreachable(
            f"watch {path}: an event is not readable", reason="NotJson"
        ) from error
    return str(kind), obj if isinstance(obj, dict) else {}


async def _next_line(lines: AsyncIterator[bytes], path: str) -> bytes | None:
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await anext(lines, None)
    except TimeoutError as error:
        raise KubeUnreachable(f"watch {path}: silent for too long", reason="Timeout") from error


def _error(status: Object, path: str) -> KubeError:
    code, message = int(status.get("code", 0)), str(status.get("message", ""))
    kind = KubeGone if code == 410 else KubeError
    return kind(f"watch {path}: {message}", status=code, reason=str(status.get("reason", "")))
