"""Create, update, patch and apply: from a request to a stored version.

Everything here is synchronous: between reading and storing an object nothing else happens in its
cluster, so there are no retries and no locks.
"""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Callable
from typing import Any, Final, Protocol

from dev.kube import allocate, errors, managed
from dev.kube.convert import to_served, to_stored
from dev.kube.errors import StatusError
from dev.kube.intake import How, decode, fill_defaults, stale, validate
from dev.kube.managed import Actor
from dev.kube.rbac import refuse_escalation
from dev.kube.registry import Registry
from dev.kube.resources import ObjectKey, Resource
from dev.kube.schema import Json
from dev.kube.store import Record, Store

#: As Kubernetes: no vowels, no digits that look like letters.
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_UNCONDITIONAL_FORBIDDEN: Final = frozenset({"Lease", "APIService", "CustomResourceDefinition"})
_SERVER_OWNED: Final = (
    "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
    "selfLink",
)  # fmt: skip


class Home(Protocol):
    """What writing needs of a cluster."""

    store: Store
    registry: Registry

    def now(self) -> str:
        """The current time, RFC 3339."""


def key_of(resource: Resource, namespace: str, name: str) -> ObjectKey:
    """The key of an object; cluster-scoped ones have no namespace."""
    return (namespace if resource.namespaced else "", name)


def fetch(home: Home, resource: Resource, namespace: str, name: str) -> Record:
    """The current record; raises `StatusError` 404."""
    record = home.store.get(resource.storage, key_of(resource, namespace, name))
    if record is None:
        raise errors.not_found(resource.plural, resource.group, name)
    return record


def create(home: Home, resource: Resource, namespace: str, body: Any, how: How) -> Record:
    """Store a new object."""
    obj = decode(resource, body, how)
    metadata = obj["metadata"]
    _check_namespace(resource, namespace, metadata)
    if metadata.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and metadata.get("generateName"):
        suffix = "".join(random.choices(_SUFFIX, k=5))  # noqa: S311 - a name, not a secret
        metadata["name"] = metadata["generateName"][:58] + suffix
    return _create(home, resource, obj, how, tracked=False)


def _check_namespace(resource: Resource, namespace: str, metadata: Json) -> None:
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.setdefault("namespace", namespace)
    if given != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _create(home: Home, resource: Resource, obj: Json, how: How, *, tracked: bool) -> Record:
    _require_namespace(home, resource, obj["metadata"])
    obj = to_stored(resource, obj)
    stored = home.registry.of_storage(resource.storage) or resource
    metadata = obj["metadata"]
    for field in _SERVER_OWNED:
        metadata.pop(field, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = home.now()
    if resource.has_generation:
        metadata["generation"] = 1
    if resource.has_status:
        obj.pop("status", None)
    obj = fill_defaults(stored, obj)
    if not tracked:
        actor = Actor(how.manager, how.subresource, stored.api_version, home.now())
        obj["metadata"]["managedFields"] = managed.track_update(stored.node, None, obj, actor)
    if obj["metadata"].get("name"):
        validate_early(stored, obj)
    if not resource.custom:
        allocate.on_create(resource.kind, obj)
    validate(stored, obj, None)
    refuse_escalation(home.store, how.user, stored, obj)
    key = (metadata.get("namespace", ""), metadata["name"])
    if home.store.get(resource.storage, key) is not None:
        raise errors.already_exists(resource.plural, resource.group, metadata["name"])
    return Record(obj, 0) if how.dry_run else home.store.put(resource.storage, obj)


def validate_early(resource: Resource, obj: Json) -> None:
    """Catch what allocation would stumble over: an object whose spec is not there."""
    if resource.kind in {"Service", "Job"} and not resource.custom:
        needs = ("template",) if resource.kind == "Job" else ()
        missing = [errors.required(f"spec.{name}") for name in needs if name not in obj["spec"]]
        if missing:
            raise errors.invalid(resource.kind, resource.group, obj["metadata"]["name"], missing)


def _require_namespace(home: Home, resource: Resource, metadata: Json) -> None:
    if not resource.namespaced:
        return
    name = metadata["namespace"]
    found = home.store.get(("", "namespaces"), ("", name))
    if found is None:
        raise errors.not_found("namespaces", "", name)
    if found.obj["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {name} because it is being terminated"
        target = metadata.get("name", "")
        raise errors.forbidden(resource.plural, resource.group, target, why, "NamespaceTerminating")


def update(
    home: Home, resource: Resource, namespace: str, name: str, body: Any, how: How
) -> Record:
    """Replace an object (or its status)."""
    obj = decode(resource, body, how)
    _check_namespace(resource, namespace, obj["metadata"])
    given = obj["metadata"].setdefault("name", name)
    if given != name:
        raise errors.bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )
    record = fetch(home, resource, namespace, name)
    if not obj["metadata"].get("resourceVersion"):
        if resource.custom or resource.kind in _UNCONDITIONAL_FORBIDDEN:
            raise stale(resource, name)
        obj["metadata"]["resourceVersion"] = record.obj["metadata"]["resourceVersion"]
    return replace(home, resource, record, obj, how)


def patch(
    home: Home,
    resource: Resource,
    namespace: str,
    name: str,
    change: Callable[[Json], Any],
    how: How,
) -> Record:
    """Store what `change` makes of the current object."""
    record = fetch(home, resource, namespace, name)
    current = to_served(resource, record.obj)
    obj = decode(resource, change(current), how)
    _check_namespace(resource, namespace, obj["metadata"])
    if obj["metadata"].get("name") != name:
        given = obj["metadata"].get("name", "")
        text = "field is immutable"
        cause = errors.invalid_value("metadata.name", given, text)
        raise errors.invalid(resource.kind, resource.group, name, [cause])
    obj["metadata"].setdefault("resourceVersion", current["metadata"]["resourceVersion"])
    return replace(home, resource, record, obj, how)


def apply(
    home: Home, resource: Resource, namespace: str, name: str, body: Any, how: How
) -> tuple[Record, bool]:
    """Server-side apply. Returns the record and whether it was created."""
    config = _apply_config(resource, namespace, name, body, how)
    record = home.store.get(resource.storage, key_of(resource, namespace, name))
    if record is None and (how.subresource or config["metadata"].get("uid")):
        raise errors.not_found(resource.plural, resource.group, name)
    shell = {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": {}}
    live = to_served(resource, record.obj) if record else shell
    version = config["metadata"].pop("resourceVersion", None)
    actor = Actor(how.manager, how.subresource, resource.api_version, home.now())
    merged = managed.apply(resource.node, live, config, actor, force=how.force)
    merged = copy.deepcopy(merged)
    if record is None:
        merged["metadata"].update(_identity(resource, namespace, name))
        return _create(home, resource, merged, how, tracked=True), True
    if version is not None:
        merged["metadata"]["resourceVersion"] = version
    return replace(home, resource, record, merged, how, tracked=True), False


def _identity(resource: Resource, namespace: str, name: str) -> Json:
    return {"name": name, "namespace": namespace} if resource.namespaced else {"name": name}


def _apply_config(resource: Resource, namespace: str, name: str, body: Any, how: How) -> Json:
    config = decode(resource, body, how)
    _check_namespace(resource, namespace, config["metadata"])
    given = config["metadata"].setdefault("name", name)
    if given != name:
        raise errors.bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )
    if not how.subresource:
        if resource.has_status:
            config.pop("status", None)
        return config
    kept = {"apiVersion", "kind", how.subresource}
    identity = {
        key: value
        for key, value in config["metadata"].items()
        if key in {"name", "namespace", "uid", "resourceVersion"}
    }
    return {key: config[key] for key in kept if key in config} | {"metadata": identity}


def replace(
    home: Home, resource: Resource, record: Record, new: Json, how: How, *, tracked: bool = False
) -> Record:
    """Store `new` in place of `record`, if it is allowed and if it differs.

    `new` belongs to this function; `tracked` says that its managedFields are right already.
    """
    old, metadata = record.obj, new["metadata"]
    name = old["metadata"]["name"]
    if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {metadata['uid']}, "
            f"UID in object meta: {old['metadata']['uid']}"
        )
        raise errors.conflict(resource.plural, resource.group, name, why)
    if metadata.get("resourceVersion", str(record.version)) != str(record.version):
        raise errors.modified(resource.plural, resource.group, name)
    stored = home.registry.of_storage(resource.storage) or resource
    new = _isolate(resource, old, to_stored(resource, new), how.subresource)
    new = fill_defaults(stored, new)
    if not resource.custom:
        allocate.on_update(resource.kind, old, new)
    validate(stored, new, old)
    if {**new, "metadata": 0} != {**old, "metadata": 0}:
        refuse_escalation(home.store, how.user, stored, new)
    if how.subresource not in {"status", "approval"}:
        _count_generation(resource, old, new)
    if not tracked:
        actor = Actor(how.manager, how.subresource, stored.api_version, home.now())
        new["metadata"]["managedFields"] = managed.track_update(stored.node, old, new, actor)
    if not new["metadata"].get("managedFields"):
        new["metadata"].pop("managedFields", None)
    return _store(home, resource, record, new, how)


def _isolate(resource: Resource, old: Json, new: Json, subresource: str) -> Json:
    """Limit a change to its subresource, and keep what only the server sets."""
    before = old["metadata"]
    if subresource in {"status", "approval"}:
        entries = new["metadata"].get("managedFields", before.get("managedFields"))
        metadata = {**before, "managedFields": entries} if entries is not None else dict(before)
        new = {**copy.deepcopy(old), "metadata": metadata, "status": new.get("status")}
        if new["status"] is None:
            del new["status"]
        return new
    if resource.has_status and subresource != "ephemeralcontainers":
        new.pop("status", None)
        if "status" in old:
            new["status"] = copy.deepcopy(old["status"])
    for field in _SERVER_OWNED:
        new["metadata"].pop(field, None)
        if field in before:
            new["metadata"][field] = before[field]
    if before.get("deletionTimestamp"):
        _check_finalizers(resource, before, new["metadata"])
    return new


def _check_finalizers(resource: Resource, before: Json, after: Json) -> None:
    added = set(after.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if added:
        text = (
            "Forbidden: no new finalizers can be added if the object is being deleted, found new "
            f"finalizers {sorted(added)}"
        )
        found = [errors.cause("FieldValueForbidden", "metadata.finalizers", text)]
        raise errors.invalid(resource.kind, resource.group, before["name"], found)


def _count_generation(resource: Resource, old: Json, new: Json) -> None:
    if not resource.has_generation:
        return
    aside = {"metadata", "status"} if resource.has_status or not resource.custom else {"metadata"}
    before = {key: value for key, value in old.items() if key not in aside}
    after = {key: value for key, value in new.items() if key not in aside}
    if resource.storage == ("apps", "deployments"):
        # Deployments alone count their annotations too: a rollback was once written there.
        before["annotations"] = old["metadata"].get("annotations")
        after["annotations"] = new["metadata"].get("annotations")
    if before != after:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _store(home: Home, resource: Resource, record: Record, new: Json, how: How) -> Record:
    new["metadata"]["resourceVersion"] = str(record.version)
    if new == record.obj:
        return record
    if how.dry_run:
        return Record(new, record.version)
    finished = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
    if finished and _may_vanish(new):
        home.store.put(resource.storage, new)
        return home.store.remove(resource.storage, record.key)
    return home.store.put(resource.storage, new)


def _may_vanish(obj: Json) -> bool:
    """An object without finalizers goes, unless something else still holds it."""
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1":
        return not (obj.get("spec") or {}).get("finalizers")
    return not obj["metadata"].get("deletionGracePeriodSeconds")


def refuse_patch(error: Exception) -> StatusError:
    """422 for a patch that cannot be applied."""
    return StatusError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
    )
