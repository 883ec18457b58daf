"""Field ownership: `metadata.managedFields`, server-side apply and its conflicts (KEP-555).

`track_update` records who changed what; `apply` merges an apply configuration into an object,
removes what its manager no longer applies, and refuses to touch the fields of others unless forced.
Every managed entry is read at the type of the object at hand: a resource has one field layout
here, whatever its version.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dev.kube import fieldset, typed
from dev.kube.errors import StatusError, bad_request
from dev.kube.fieldset import EMPTY, FieldSet, Path
from dev.kube.schema import Json, Node

APPLY, UPDATE = "Apply", "Update"

_META: Final = (
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
    "managedFields", "resourceVersion",
)  # fmt: skip
#: Paths that nobody owns.
_UNOWNED: Final[frozenset[Path]] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {("f:metadata", f"f:{name}") for name in _META}
)
#: Structs that Go always writes, so that creating them is not a change.
_ALWAYS_THERE: Final[frozenset[Path]] = frozenset(
    tuple(f"f:{name}" for name in path.split("."))
    for path in (
        "spec", "status", "spec.strategy", "spec.updateStrategy", "spec.template",
        "spec.template.metadata", "spec.template.spec", "spec.template.spec.containers",
        "spec.containers", "spec.resources", "spec.scaleTargetRef", "spec.jobTemplate",
        "spec.jobTemplate.metadata", "spec.jobTemplate.spec", "spec.jobTemplate.spec.template",
        "spec.jobTemplate.spec.template.metadata", "spec.jobTemplate.spec.template.spec",
        "spec.jobTemplate.spec.template.spec.containers", "status.loadBalancer",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """Who manages: two entries with the same key are one."""

    manager: str
    operation: str
    subresource: str
    api_version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one manager owns and when that last changed (RFC 3339)."""

    fields: FieldSet
    time: str


Managers = dict[Key, Entry]


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change: manager name, subresource, the version it speaks, and now."""

    manager: str
    subresource: str
    api_version: str
    now: str


def read(obj: Json) -> Managers:
    """The managers of an object; entries that cannot be read are dropped."""
    found: Managers = {}
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        try:
            fields = fieldset.from_fields_v1(entry.get("fieldsV1") or {})
        except (ValueError, AttributeError):
            continue
        key = Key(
            entry.get("manager", ""),
            entry.get("operation", UPDATE),
            entry.get("subresource", ""),
            entry.get("apiVersion", ""),
        )
        found[key] = Entry(fields, entry.get("time", ""))
    return found


def write(managers: Managers) -> list[Json]:
    """The `managedFields` list: apply entries first, then by time and name."""
    entries = []
    ordered = sorted(
        managers.items(),
        key=lambda pair: (pair[0].operation, pair[1].time, pair[0].manager, pair[0].subresource),
    )
    for key, entry in ordered:
        if not entry.fields:
            continue
        document: Json = {
            "manager": key.manager,
            "operation": key.operation,
            "apiVersion": key.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldset.to_fields_v1(entry.fields),
        }
        if key.subresource:
            document["subresource"] = key.subresource
        entries.append(document)
    return entries


def _owned(fields: FieldSet | set[Path], node: Node) -> FieldSet:
    kept = frozenset(fields) - _UNOWNED
    if node.name:
        return kept - _ALWAYS_THERE
    return kept


def _unmanaged(obj: Json) -> Json:
    """The object as ownership sees it: without identity and without managedFields."""
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _META}
    return {**obj, "metadata": metadata}


def track_update(node: Node, old: Json | None, new: Json, actor: Actor) -> list[Json]:
    """The `managedFields` after `actor` turned `old` (None: created) into `new`.

    An explicitly emptied list in `new` resets all ownership, as the real server does.
    """
    given = new.get("metadata", {}).get("managedFields")
    reset = given is not None and (not given or given == [{}])
    base = old or {}
    managers = {} if reset and old is not None else read(new if given else base)
    if reset and old is not None:
        return []
    change = typed.compare(node, _unmanaged(base) if old else {}, _unmanaged(new))
    mine = Key(actor.manager, UPDATE, actor.subresource, actor.api_version)
    taken, gone = frozenset(change.modified | change.added), frozenset(change.removed)
    if not taken and not gone and given is None:
        return list(base.get("metadata", {}).get("managedFields") or ())
    after = _release(managers, mine, taken | gone)
    owned = after.get(mine, Entry(EMPTY, "")).fields
    fields = _owned((owned - gone) | taken, node)
    if fields != owned:
        after[mine] = Entry(fields, actor.now)
    return write(after)


def _release(managers: Managers, keep: Key, fields: FieldSet) -> Managers:
    """Every manager but `keep` loses `fields`."""
    result = {}
    for key, entry in managers.items():
        if key != keep and entry.fields & fields:
            entry = replace(entry, fields=entry.fields - fields)
        if entry.fields:
            result[key] = entry
    return result


def apply(node: Node, live: Json, config: Json, actor: Actor, *, force: bool) -> Json:
    """The object after applying `config` to `live` (which may be an empty shell for a create).

    Raises `StatusError` 409 with one cause per conflicting field unless `force`.
    """
    if config.get("metadata", {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    managers = read(live)
    if not managers and live.get("metadata", {}).get("uid"):
        everything = _owned(typed.field_set(node, _unmanaged(live)), node)
        before = Key("before-first-apply", UPDATE, "", actor.api_version)
        managers[before] = Entry(everything, actor.now)
    mine = _applier(managers, actor)
    last = managers.get(mine, Entry(EMPTY, ""))
    base, wanted = _unmanaged(live), _unmanaged(config)
    claimed = typed.field_set(node, wanted) - _UNOWNED
    managers[mine] = Entry(claimed, last.time if last.fields == claimed else actor.now)
    merged = _prune(node, typed.merge(node, base, wanted), managers, last.fields)
    change = typed.compare(node, base, merged)
    contested = _conflicts(managers, mine, frozenset(change.modified | change.added))
    if contested and not force:
        raise _conflict_error(contested)
    lost = frozenset().union(*contested.values()) if contested else EMPTY
    managers = _release(managers, mine, lost | frozenset(change.removed))
    return _reassemble(live, merged, write(managers))


def _applier(managers: Managers, actor: Actor) -> Key:
    """The applier's key; an apply at another version continues the same ownership."""
    mine = Key(actor.manager, APPLY, actor.subresource, actor.api_version)
    for key in managers:
        if (key.manager, key.operation, key.subresource) == (
            mine.manager, APPLY, mine.subresource,
        ) and key != mine:  # fmt: skip
            managers[mine] = managers.pop(key)
            break
    return mine


def _prune(node: Node, merged: Json, managers: Managers, last: FieldSet) -> Json:
    """Remove what was applied last time, is not applied now, and belongs to nobody else."""
    if not last:
        return merged
    last_all = fieldset.with_named_fields(last, node)
    pruned = typed.remove(node, merged, last_all)
    merged_all = fieldset.with_named_fields(typed.field_set(node, merged), node)
    managed = fieldset.with_named_fields(
        frozenset().union(*(entry.fields for entry in managers.values())), node
    )
    pruned_all = fieldset.with_named_fields(typed.field_set(node, pruned), node)
    pruned = typed.remove(node, merged, merged_all - (pruned_all | managed))
    pruned_all = fieldset.with_named_fields(typed.field_set(node, pruned), node)
    result = typed.remove(node, merged, (merged_all - pruned_all) & last_all)
    return result if isinstance(result, dict) else {}


def _conflicts(managers: Managers, mine: Key, changed: FieldSet) -> dict[Key, FieldSet]:
    return {
        key: overlap
        for key, entry in managers.items()
        if key != mine and (overlap := entry.fields & changed)
    }


def _conflict_error(contested: dict[Key, FieldSet]) -> StatusError:
    causes, lines = [], []
    for key, fields in sorted(contested.items(), key=lambda pair: pair[0].manager):
        who = _describe(key)
        lines.append(f"conflicts with {who}:")
        for path in sorted(fields):
            shown = fieldset.render_path(path)
            lines.append(f"- {shown}")
            causes.append(
                {
                    "reason": "FieldManagerConflict",
                    "message": f"conflict with {who}",
                    "field": shown,
                }
            )
    noun = "conflict" if len(causes) == 1 else "conflicts"
    text = (
        f"conflict with {_describe(next(iter(contested)))}: {causes[0]['field']}"
        if len(causes) == 1
        else "\n".join(lines)
    )
    message = f"Apply failed with {len(causes)} {noun}: {text}"
    return StatusError(409, "Conflict", message, {"causes": causes})


def _describe(key: Key) -> str:
    with_subresource = f' with subresource "{key.subresource}"' if key.subresource else ""
    using = f" using {key.api_version}" if key.operation == UPDATE else ""
    return f'"{key.manager}"{with_subresource}{using}'


def _reassemble(live: Json, merged: Json, entries: list[Json]) -> Json:
    """Put identity back on a merged object."""
    old = live.get("metadata", {})
    kept = {key: old[key] for key in _META if key in old and key != "managedFields"}
    metadata = {**kept, **merged.get("metadata", {})}
    if entries:
        # An empty list means "forget who owns what" to whoever sends the object back.
        metadata["managedFields"] = entries
    return {**merged, "metadata": metadata}
