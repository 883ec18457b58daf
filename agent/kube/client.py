"""The facade that the rest of the agent talks to the cluster through.

Objects are plain dicts as the API server sends them: the agent handles kinds it has never heard
of, so typed models would only cost memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from agent.kube.access import ClusterAccess
from agent.kube.discovery import Discovery, Resource
from agent.kube.rest import Object, Rest
from agent.kube.watch import Changed, Listed, watch_forever

FIELD_MANAGER = "arcbridge"
_APPLY = "application/apply-patch+yaml"
_PAGE = 250
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
"""What to accept for objects without their content (PartialObjectMetadata of meta.k8s.io)."""

Project = Callable[[Object], Object]
"""Takes of an object what its caller keeps."""


class PatchType(StrEnum):
    """How a patch is written."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class Propagation(StrEnum):
    """What happens to the objects that a deleted one owns."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True)
class Page:
    """A list and the version it was taken at."""

    items: tuple[Object, ...]
    resource_version: str


class KubeClient:
    """Calls to one cluster, in the name of one identity. Every call has a deadline."""

    def __init__(self, rest: Rest, discovery: Discovery, as_user: str | None = None) -> None:
        self._rest = rest
        self._discovery = discovery
        self.as_user = as_user
        self._headers = {"Impersonate-User": as_user} if as_user else {}

    @classmethod
    async def connect(cls, kubeconfig: Path | None, *, deadline_seconds: float = 30.0) -> Self:
        """Read the configuration; the first call opens the first connection."""
        rest = Rest(await ClusterAccess.load(kubeconfig), deadline_seconds=deadline_seconds)
        return cls(rest, Discovery(rest))

    async def close(self) -> None:
        """Close every connection, those of `acting_as` clients too."""
        await self._rest.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def acting_as(self, user: str | None) -> KubeClient:
        """The same cluster and connections, impersonating `user`
        (`system:serviceaccount:NAMESPACE:NAME`); None gives the agent's own identity."""
        return KubeClient(self._rest, self._discovery, user)

    async def resource(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind. Raises KubeNotFound when the cluster does not have it."""
        return await self._discovery.resource(api_version, kind)

    @property
    def discovery(self) -> Discovery:
        """Which kinds the cluster has."""
        return self._discovery

    async def version(self) -> Object:
        """The answer of `/version`."""
        return await self._rest.call("GET", "/version")

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object. Raises KubeNotFound."""
        return await self._call("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        project: Project | None = None,
        limit: int | None = None,
    ) -> Page:
        """Everything that matches, fetched page by page; all namespaces when none is given.

        `project` is applied to each page before the next is fetched, so that a large cluster's
        objects are never in memory at once. With `metadata_only` the API server sends nothing
        but metadata, where it can. With `limit` only that many are asked for.
        """
        params: dict[str, str | int | bool] = _selectors(label_selector, field_selector)
        items: list[Object] = []
        token: str | None = ""
        while token is not None:
            page = await self._call(
                "GET",
                resource.path(namespace),
                params={
                    **params,
                    "limit": limit or _PAGE,
                    **({"continue": token} if token else {}),
                },
                headers={"Accept": _METADATA.format("List")} if metadata_only else {},
            )
            # Items of a list carry neither apiVersion nor kind.
            found = (
                {**item, "apiVersion": resource.api_version, "kind": resource.kind}
                for item in page.get("items") or ()
            )
            items += [project(item) if project else item for item in found]
            token = page.get("metadata", {}).get("continue") or None
            if limit is not None:
                break
        return Page(tuple(items), page.get("metadata", {}).get("resourceVersion", ""))

    async def create(self, resource: Resource, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object in the namespace it names. Raises KubeAlreadyExists."""
        namespace = body.get("metadata", {}).get("namespace")
        params = {"fieldManager": FIELD_MANAGER, **_dry(dry_run)}
        return await self._call("POST", resource.path(namespace), params=params, body=body)

    async def replace(
        self,
        resource: Resource,
        body: Object,
        *,
        manager: str = FIELD_MANAGER,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """PUT an object, or its `status`. Raises KubeConflict when its resourceVersion is old."""
        meta = body["metadata"]
        path = resource.path(meta.get("namespace"), meta["name"]) + _sub(subresource)
        params = {"fieldManager": manager, **_dry(dry_run)}
        return await self._call("PUT", path, params=params, body=body)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str | None = None,
    ) -> Object:
        """Patch an object, or its `status`."""
        return await self._call(
            "PATCH",
            resource.path(namespace, name) + _sub(subresource),
            params={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type=patch_type.value,
        )

    async def apply(
        self,
        resource: Resource,
        body: Object,
        *,
        force: bool = False,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
        subresource: str | None = None,
    ) -> Object:
        """Server-side apply (KEP-555). Raises KubeApplyConflict naming the other managers."""
        meta = body["metadata"]
        return await self._call(
            "PATCH",
            resource.path(meta.get("namespace"), meta["name"]) + _sub(subresource),
            params={"fieldManager": manager, "force": force, **_dry(dry_run)},
            body=body,
            content_type=_APPLY,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> Object:
        """Delete an object, only the one with `uid` when given.

        Raises KubeNotFound when it is gone, KubeConflict when another one has its name.
        """
        body: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation.value,
        }
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        return await self._call("DELETE", resource.path(namespace, name), body=body)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        project: Project | None = None,
    ) -> AsyncIterator[Listed | Changed]:
        """What matches and every change of it, until cancelled; see `agent.kube.watch`.

        `metadata_only` and `project` are as for `list`.
        """
        selectors = _selectors(label_selector, field_selector)

        async def list_all() -> tuple[tuple[Object, ...], str]:
            page = await self.list(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
                project=project,
            )
            return page.items, page.resource_version

        path = resource.path(namespace)
        accept = {"Accept": _METADATA.format("")} if metadata_only else {}
        async for item in watch_forever(
            self._rest,
            path,
            {k: str(v) for k, v in selectors.items()},
            {**self._headers, **accept},
            list_all,
        ):
            if project is not None and isinstance(item, Changed):
                yield Changed(item.type, project(item.object))
            else:
                yield item

    async def _call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> Object:
        return await self._rest.call(
            method, path, headers={**self._headers, **(headers or {})}, **kwargs
        )


def _selectors(label_selector: str, field_selector: str) -> dict[str, str | int | bool]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in given.items() if value}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _sub(subresource: str | None) -> str:
    return f"/{subresource}" if subresource else ""
