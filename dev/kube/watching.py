"""WATCH: the changes of a collection as a stream, with bookmarks and initial events (KEP-3157)."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Iterator
from typing import Final

from dev.kube import errors, tables
from dev.kube.cluster import Cluster
from dev.kube.convert import to_served
from dev.kube.http import METADATA, TABLE, Receive, Request, Send
from dev.kube.reading import body_of, matchers
from dev.kube.resources import Resource
from dev.kube.schema import Json
from dev.kube.store import ADDED, DELETED, MODIFIED, Bucket, Change, Record
from dev.kube.target import Target

_BOOKMARK_SECONDS: Final = 60.0
#: A reader this far behind is cut off; it lists again.
_BACKLOG: Final = 20_000
_DEFAULT_SECONDS: Final = 1800.0
_CHUNK: Final = 64 * 1024


class Watch:
    """One client's view of one bucket: what it sees, and what waits to be sent."""

    def __init__(self, cluster: Cluster, request: Request, target: Target) -> None:
        self._cluster = cluster
        self._request = request
        self._target = target
        self._resource: Resource = target.resource
        self._bucket: Bucket = cluster.store.bucket(self._resource.storage)
        self._tests = matchers(request, self._resource)
        self._shape = request.shape()
        self._header_sent = False
        self._pending: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._overflow = False
        self.bookmarks = request.flag("allowWatchBookmarks")

    def open(self) -> list[bytes]:
        """Begin to listen; returns the events that come first. Raises `StatusError` 410."""
        initial = self._initial()
        self._bucket.listeners.add(self._hear)
        return initial

    def close(self) -> None:
        """Stop listening."""
        self._bucket.listeners.discard(self._hear)

    def _initial(self) -> list[bytes]:
        query = self._request.query
        start = query.get("resourceVersion", "")
        if self._request.flag("sendInitialEvents") and "sendInitialEvents" in query:
            if query.get("resourceVersionMatch") != "NotOlderThan":
                text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                cause = errors.cause("FieldValueForbidden", "resourceVersionMatch", text)
                raise errors.invalid("ListOptions", "meta.k8s.io", "", [cause])
            events = list(self._state())
            return [*events, self.bookmark(initial_end=True)] if self.bookmarks else events
        if start in {"", "0"}:
            if "sendInitialEvents" in query:
                return []
            return list(self._state())
        if not start.isdigit():
            raise errors.bad_request(f"Invalid value: {start!r}: not a resource version")
        version = int(start)
        if version < self._bucket.oldest:
            raise errors.gone(f"too old resource version: {version} ({self._bucket.oldest})")
        past = [change for change in self._bucket.log if change.version > version]
        return [event for change in past if (event := self._event(change)) is not None]

    def _state(self) -> Iterator[bytes]:
        for record in self._bucket.after(self._target.in_namespace, None):
            if self._sees(record):
                yield self._line(ADDED, record)

    def _sees(self, record: Record) -> bool:
        if self._target.in_namespace is not None and record.key[0] != self._target.namespace:
            return False
        if self._target.name and record.key[1] != self._target.name:
            return False
        return all(test(record.obj) for test in self._tests)

    def _event(self, change: Change) -> bytes | None:
        """A change as this watcher sees it: objects enter and leave its selection."""
        now = change.type != DELETED and self._sees(change.record)
        before = change.before is not None and self._sees(change.before)
        if now:
            return self._line(MODIFIED if before else ADDED, change.record)
        return self._line(DELETED, change.record) if before else None

    def _line(self, kind: str, record: Record) -> bytes:
        if self._shape == TABLE:
            return self._wrap(kind, self._table(record))
        if self._shape == METADATA:
            return self._wrap(kind, json.dumps(tables.partial_metadata(record.obj)).encode())
        return self._wrap(kind, body_of(self._resource, record))

    def _table(self, record: Record) -> bytes:
        obj = to_served(self._resource, record.obj)
        include = self._request.query.get("includeObject", "Metadata")
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        document = tables.table(
            self._resource, [obj], metadata, include, header=not self._header_sent
        )
        self._header_sent = True
        return json.dumps(document).encode()

    @staticmethod
    def _wrap(kind: str, body: bytes) -> bytes:
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)

    def bookmark(self, *, initial_end: bool = False) -> bytes:
        """How far this watch has seen."""
        metadata: Json = {"resourceVersion": str(self._cluster.store.version)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj: Json = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": {**metadata, "creationTimestamp": None},
        }
        if self._shape == TABLE:
            obj = {**tables.table(self._resource, [], metadata, "None"), "rows": []}
            row = {"cells": [], "object": {"kind": "PartialObjectMetadata",
                   "apiVersion": "meta.k8s.io/v1", "metadata": metadata}}  # fmt: skip
            obj["rows"] = [row]
        elif self._shape == METADATA:
            obj.update(kind="PartialObjectMetadata", apiVersion="meta.k8s.io/v1")
        return self._wrap("BOOKMARK", json.dumps(obj).encode())

    def _hear(self, change: Change) -> None:
        if len(self._pending) >= _BACKLOG:
            self._overflow = True
        else:
            self._pending.append(change)
        self._wake.set()

    async def next(self, seconds: float) -> bytes | None:
        """The next events, b"" after `seconds` without any, None when the watch must end."""
        if not self._pending:
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                return b""
        self._wake.clear()
        if self._overflow:
            return None
        lines = []
        size = 0
        while self._pending and size < _CHUNK:
            event = self._event(self._pending.popleft())
            if event is not None:
                lines.append(event)
                size += len(event)
        if self._pending:
            self._wake.set()
        return b"".join(lines)


async def serve_watch(
    cluster: Cluster, request: Request, target: Target, receive: Receive, send: Send
) -> None:
    """Stream events until the client goes, the time is up, or the cluster is closed."""
    watch = Watch(cluster, request, target)
    first = watch.open()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
    gone = asyncio.create_task(_disconnected(receive))
    stream = asyncio.create_task(_stream(watch, request, first, headers, send))
    cluster.streams.add(stream)
    try:
        await asyncio.wait({gone, stream}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.close()
        cluster.streams.discard(stream)
        for task in (gone, stream):
            task.cancel()
        await asyncio.gather(gone, stream, return_exceptions=True)


async def _stream(
    watch: Watch,
    request: Request,
    first: list[bytes],
    headers: list[tuple[bytes, bytes]],
    send: Send,
) -> None:
    loop = asyncio.get_running_loop()
    limit = float(request.query.get("timeoutSeconds") or 0) or _DEFAULT_SECONDS
    end = loop.time() + limit
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"".join(first), "more_body": True})
        mark = loop.time() + _BOOKMARK_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - spread
        while (left := end - loop.time()) > 0:
            lines = await watch.next(min(left, max(mark - loop.time(), 0.01)))
            if lines is None:
                break
            if watch.bookmarks and loop.time() >= mark:
                lines += watch.bookmark()
                mark = loop.time() + _BOOKMARK_SECONDS
            elif loop.time() >= mark:
                mark = loop.time() + _BOOKMARK_SECONDS
            if lines:
                await send({"type": "http.response.body", "body": lines, "more_body": True})
        if watch.bookmarks:
            final = watch.bookmark()
            await send({"type": "http.response.body", "body": final, "more_body": True})
    finally:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
