"""Which kinds the cluster has, and the paths they are reached by.

One request per group and version, made when a kind of it is first asked for; a kind that is not
found is looked for once more, because a CRD may have brought it since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent.errors import KubeNotFound
from agent.kube.rest import Rest


@dataclass(frozen=True)
class Resource:
    """A kind, as the API server serves it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The request path. A cluster-scoped kind ignores `namespace`."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class Discovery:
    """Remembers what the API server said of its kinds."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._kinds: dict[str, dict[str, Resource]] = {}

    async def resource(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind. Raises KubeNotFound when the cluster does not have it."""
        known = self._kinds.get(api_version, {}).get(kind)
        if known is not None:
            return known
        try:
            self._kinds[api_version] = await self._fetch(api_version)
        except KubeNotFound:
            self._kinds.pop(api_version, None)
        found = self._kinds.get(api_version, {}).get(kind)
        if found is None:
            raise KubeNotFound(
                f"the cluster has no kind {kind} in {api_version}", status=404, reason="NoSuchKind"
            )
        return found

    async def served(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind of that group in any version that is served now, in the given one
        if need not be. Raises KubeNotFound when no version has it."""
        group = api_version.rpartition("/")[0]
        if not group:
            return await self.resource(api_version, kind)
        versions = (await self._rest.call("GET", f"/apis/{group}")).get("versions", [])
        for version in versions:
            self.forget(version["groupVersion"])
            try:
                return await self.resource(version["groupVersion"], kind)
            except KubeNotFound:
                continue
        raise KubeNotFound(
            f"the cluster has no kind {kind} in {group}", status=404, reason="NoSuchKind"
        )

    def forget(self, api_version: str) -> None:
        """Ask again next time: a CRD of this group came or went."""
        self._kinds.pop(api_version, None)

    async def api_versions(self) -> tuple[str, ...]:
        """The preferred version of every group, the core group first."""
        groups = (await self._rest.call("GET", "/apis")).get("groups", [])
        return ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups))

    async def resources(self, api_version: str) -> tuple[Resource, ...]:
        """Every kind of one group and version, subresources left out."""
        self._kinds[api_version] = await self._fetch(api_version)
        return tuple(self._kinds[api_version].values())

    async def _fetch(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        listing = await self._rest.call("GET", path)
        return {
            entry["kind"]: _resource(group, version, entry)
            for entry in reversed(listing.get("resources", []))
            if "/" not in entry["name"]
        }


def _resource(group: str, version: str, entry: dict[str, Any]) -> Resource:
    return Resource(
        group=entry.get("group") or group,
        version=entry.get("version") or version,
        kind=entry["kind"],
        plural=entry["name"],
        namespaced=bool(entry.get("namespaced")),
        verbs=frozenset(entry.get("verbs", ())),
    )
