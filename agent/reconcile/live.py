"""Fetching the live state of an extension's objects in as few requests as can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.errors import KubeNotFound
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.apply import bounded_gather
from agent.reconcile.objects import EXTENSION_LABEL, Object, ObjectKey, key_of


async def resources_of(kube: KubeClient, objects: Iterable[Object]) -> list[Resource]:
    """The resources of these objects, each once; kinds that the cluster lacks are left out."""
    found: dict[tuple[str, str], Resource] = {}
    for api_version, kind in {(str(obj["apiVersion"]), str(obj["kind"])) for obj in objects}:
        try:
            resource = await kube.resource(api_version, kind)
        except KubeNotFound:
            continue
        found.setdefault((resource.group, resource.kind), resource)
    return list(found.values())


def namespaces_of(objects: Iterable[Object]) -> tuple[str, ...]:
    """The namespaces that these objects are in, in order."""
    return tuple(sorted({obj["metadata"].get("namespace") or "" for obj in objects} - {""}))


async def list_labelled(
    kube: KubeClient, extension: str, objects: Sequence[Object]
) -> dict[ObjectKey, Object]:
    """Every live object under the extension's label, of the kinds and in the namespaces that
    `objects` have: reading other namespaces may not be allowed."""
    selector = f"{EXTENSION_LABEL}={extension}"
    namespaces = namespaces_of(objects)
    places = [
        (resource, namespace)
        for resource in await resources_of(kube, objects)
        for namespace in (namespaces if resource.namespaced else (None,))
    ]
    pages = await bounded_gather(
        [kube.list(resource, namespace, label_selector=selector) for resource, namespace in places]
    )
    return {key_of(item): item for page in pages for item in page.items}


async def load_live(
    kube: KubeClient, extension: str, objects: Sequence[Object]
) -> dict[ObjectKey, Object]:
    """The live state of `objects`; what is not in the answer is not there."""
    listed = await list_labelled(kube, extension, objects)
    wanted = {key_of(obj): obj for obj in objects}
    # Someone may have taken the label off: then only a request of its own finds the object.
    unlisted = [obj for key, obj in wanted.items() if key not in listed]
    fetched = await bounded_gather([get_or_none(kube, obj) for obj in unlisted])
    found = {key: obj for key, obj in listed.items() if key in wanted}
    return found | {key_of(obj): obj for obj in fetched if obj is not None}


async def get_or_none(kube: KubeClient, obj: Object) -> Object | None:
    """The live state of one object, or None where it is not there."""
    meta = obj["metadata"]
    try:
        resource = await kube.resource(str(obj["apiVersion"]), str(obj["kind"]))
        return await kube.get(resource, meta["name"], meta.get("namespace"))
    except KubeNotFound:
        return None


def slim(obj: Object) -> Object:
    """What readiness needs of a live object: no managed fields, and no data of Secrets and
    ConfigMaps, which may be large and are nobody's business in memory."""
    kept = {key: value for key, value in obj.items() if key not in ("data", "binaryData")}
    kept["metadata"] = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return kept
