"""Why a chart's hook did not end well, in the words of its own Job, pods and Events.

helm says `context deadline exceeded` of a hook whose pod found no node, as of one that works for
too long. It writes down, in the release's Secret, which hook it had come to: that one is looked at.
"""

from __future__ import annotations

from collections.abc import Collection

from agent.errors import KubeError, StepFailed
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.health import pod_trouble, trouble_of
from agent.reconcile.live import get_or_none
from agent.reconcile.objects import Object, ObjectKey, key_of
from agent.reconcile.placement import placed_objects
from agent.reconcile.readiness import compute
from agent.reconcile.releases import Revision, decode_release, load_revisions

_EVENTS = Resource("", "v1", "Event", "events", namespaced=True)
_WORDS = 300


async def with_hook_trouble(
    kube: KubeClient,
    failure: StepFailed,
    namespace: str,
    release: str,
    *,
    before: Collection[Revision] = (),
    events: Collection[str] = (),
) -> StepFailed:
    """The failure, and ahead of helm's words what its hook had to say, where one is to blame.

    Not asked are the revisions of `before`, which are of an earlier attempt, and, where `events`
    names some, hooks for others (`test`, `pre-delete`).
    """
    try:
        told = await _trouble(kube, namespace, release, {_uid(r) for r in before}, events)
    except (KubeError, ValueError):
        return failure  # helm's own words are better than none
    if not told:
        return failure
    return StepFailed(failure.reason, f"{told}. helm says: {failure}", final=failure.final)


async def _trouble(
    kube: KubeClient, namespace: str, release: str, known: set[str], events: Collection[str]
) -> str:
    revisions = await load_revisions(kube, namespace, release)
    if not revisions or _uid(revisions[0]) in known:
        return ""
    for hook in decode_release(revisions[0].secret).get("hooks") or ():
        phase = (hook.get("last_run") or {}).get("phase")
        asked = not events or bool(set(events) & set(hook.get("events") or ()))
        if asked and phase and phase != "Succeeded":
            for obj in await placed_objects(kube, str(hook.get("manifest", "")), namespace):
                return await _told_of(kube, obj)
    return ""


async def _told_of(kube: KubeClient, hook: Object) -> str:
    """`hook Job shop/migrate: pod migrate-x7k2p: Unschedulable: 0/3 nodes are available`."""
    key = key_of(hook)
    live = await get_or_none(kube, hook)
    if live is None:
        cause = await _last_warning(kube, key, may_be_of_pods=True)
    elif key.kind == "Pod":
        cause = trouble_of(live) or await _last_warning(kube, key)
    else:
        cause = await pod_trouble(kube, key, live)
        cause = cause or await _last_warning(kube, key, may_be_of_pods=True)
        cause = cause or compute(live).message
    return f"hook {key}: {cause}" if cause else f"hook {key} did not end well"


async def _last_warning(kube: KubeClient, key: ObjectKey, *, may_be_of_pods: bool = False) -> str:
    """The newest Event of type Warning about an object or, where it makes pods, one of them."""
    page = await kube.list(_EVENTS, key.namespace, field_selector="type=Warning")
    found = [event for event in page.items if _is_about(event, key, may_be_of_pods=may_be_of_pods)]
    if not found:
        return ""
    newest = max(found, key=_time)
    about = newest["involvedObject"]
    words = " ".join(str(newest.get("message") or "").split())[:_WORDS]
    return f"{str(about['kind']).lower()} {about['name']}: {newest.get('reason')}: {words}"


def _is_about(event: Object, key: ObjectKey, *, may_be_of_pods: bool) -> bool:
    about = event.get("involvedObject") or {}
    kind, name = about.get("kind"), str(about.get("name", ""))
    if kind == key.kind:
        return name == key.name
    return may_be_of_pods and kind == "Pod" and name.startswith(f"{key.name}-")


def _time(event: Object) -> str:
    """RFC 3339 sorts by text."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _uid(revision: Revision) -> str:
    return str(revision.secret["metadata"].get("uid", ""))
