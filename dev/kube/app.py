"""The ASGI application: finds the cluster, asks who it is and what they may, routes the request."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from dev.kube import access, changing, discovery, openapi, reading, scaling, special
from dev.kube.cluster import Cluster
from dev.kube.errors import StatusError, method_not_allowed, no_such_path
from dev.kube.http import JSON_TYPE, Receive, Request, Response, Send, failure, read_request
from dev.kube.target import NoSuchGroupError, Target, locate, split
from dev.kube.watching import serve_watch

log = logging.getLogger(__name__)

PREFIX: Final = "/clusters/"
_HEALTH: Final = ("/healthz", "/livez", "/readyz")
_SPECIAL: Final = frozenset({"token", "eviction", "binding", "finalize"})


class App:
    """Serves every cluster under `/clusters/NAME`."""

    def __init__(self, clusters: dict[str, Cluster]) -> None:
        self._clusters = clusters

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except StatusError as error:
            await failure(error).send(send)
        except NoSuchGroupError:
            await Response(b"404 page not found\n", 404, "text/plain; charset=utf-8").send(send)
        except Exception:
            # The last line of defence: a fault in one request must not end the connection silently.
            log.exception("request failed", extra={"path": scope["path"]})
            await failure(StatusError(500, "InternalError", "Internal error occurred")).send(send)

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        name = path[len(PREFIX) :].split("/", 1)[0] if path.startswith(PREFIX) else ""
        cluster = self._clusters.get(name)
        if cluster is None:
            raise no_such_path()
        request = await read_request(scope, receive, PREFIX + name)
        if request.path.startswith(_HEALTH):
            await Response(b"ok", content_type="text/plain").send(send)
            return
        request = replace(request, user=access.user_of(cluster, request))
        for observe in cluster.observers:
            observe(request)
        response = _document(cluster, request)
        if response is None:
            target = _target(cluster, request)
            if isinstance(target, Target) and access.is_watch(request, target):
                await serve_watch(cluster, request, target, receive, send)
                return
            response = _resource(cluster, request, target) if isinstance(target, Target) else target
        await response.send(send)


def _document(cluster: Cluster, request: Request) -> Response | None:
    """Documents about the server itself; None for resource paths."""
    registry, parts = cluster.registry, [part for part in request.path.split("/") if part]
    host = request.headers.get("host", "")
    match parts:
        case []:
            return Response.of({"paths": ["/api", "/api/v1", "/apis", "/openapi/v3", "/version"]})
        case ["version"]:
            return Response.of(_version(cluster))
        case ["api"] | ["apis"]:
            core = parts[0] == "api"
            if "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
                return _cached(
                    cluster,
                    request,
                    lambda: discovery.aggregated(registry, core=core),
                    discovery.AGGREGATED_TYPE,
                )
            plain = discovery.api_versions(host) if core else discovery.api_group_list(registry)
            return Response.of(plain)
        case ["api", version]:
            return _found(discovery.api_resource_list(registry, "", version))
        case ["apis", group]:
            return _found(discovery.api_group(registry, group))
        case ["apis", group, version]:
            return _found(discovery.api_resource_list(registry, group, version))
        case ["openapi", "v2"] if openapi.V2_PROTOBUF_ACCEPTED in request.headers.get("accept", ""):
            return Response(openapi.V2_PROTOBUF, content_type=openapi.V2_PROTOBUF_TYPE)
        case ["openapi", "v2"]:
            return _cached(cluster, request, lambda: openapi.document_v2(registry))
        case ["openapi", "v3"]:
            return Response.of(openapi.index(registry, request.prefix))
        case ["openapi", "v3", "api", version]:
            return _cached(
                cluster, request, lambda: openapi.document(registry, "", version), group=""
            )
        case ["openapi", "v3", "apis", group, version]:
            return _cached(
                cluster, request, lambda: openapi.document(registry, group, version), group=group
            )
        case _:
            return None


def _found(document: dict[str, Any] | None) -> Response:
    if document is None:
        raise no_such_path()
    return Response.of(document)


def _cached(
    cluster: Cluster,
    request: Request,
    make: Callable[[], dict[str, Any] | None],
    content_type: str = JSON_TYPE,
    group: str | None = None,
) -> Response:
    """A large document, made once per state of the registry; 304 when the client has it."""
    key = f"{request.path} {content_type}"
    documents = cluster.registry.documents(group)
    kept = documents.get(key)
    if kept is None:
        document = make()
        if document is None:
            raise no_such_path()
        body = json.dumps(document, separators=(",", ":")).encode()
        tag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
        kept = documents[key] = (body, tag)
    body, tag = kept
    headers = {"etag": tag, "vary": "Accept"}
    if request.headers.get("if-none-match") == tag:
        # Go's cache takes the headers of a 304 over those it kept: the type must be right.
        return Response(b"", 304, content_type, headers)
    return Response(body, 200, content_type, headers)


def _version(cluster: Cluster) -> dict[str, str]:
    major, minor = cluster.settings.version.split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{cluster.settings.version}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    }


def _target(cluster: Cluster, request: Request) -> Target | Response:
    group, version, rest = split(request.path)
    if special.is_review(group, version, rest):
        return special.review(cluster, request, group, rest)
    target = locate(cluster.registry, request.path)
    access.authorize(cluster, request, target)
    return target


def _resource(cluster: Cluster, request: Request, target: Target) -> Response:
    if target.subresource == "scale":
        return scaling.serve_scale(cluster, request, target)
    if target.subresource in _SPECIAL:
        return special.serve_special(cluster, request, target)
    if target.name:
        handlers = {
            "GET": reading.get,
            "PUT": changing.update,
            "PATCH": changing.patch,
            "DELETE": changing.delete,
        }
    else:
        handlers = {
            "GET": reading.list_objects,
            "POST": changing.create,
            "DELETE": changing.delete_collection,
        }
        if request.method == "POST" and target.resource.namespaced and not target.namespace:
            raise method_not_allowed()
    handler = handlers.get(request.method)
    if handler is None:
        raise method_not_allowed()
    return handler(cluster, request, target)
