"""Revisions of a Helm release whose Secret nobody can read: cut off, or overwritten.

helm passes over such a Secret when it looks for the newest revision, and fails over its name when
it writes the next one: `release: already exists`, each time. Where an earlier revision can be read
helm goes on from there, so the unreadable one is set aside under another name, never thrown away.
Where none can be read helm would install anew over what runs, install hooks included: that is left
to a person.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.errors import KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile.objects import Object
from agent.reconcile.releases import SECRETS, Revision
from shared.contract.reasons import ReasonCode
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

ASIDE_LABEL = "arcbridge.io/unreadable-release-of"
"""On what was set aside: the extension."""
_PREFIX = "arcbridge-unreadable."


async def set_aside_unreadable(
    kube: KubeClient, revisions: Sequence[Revision], extension: str, failure: ReasonCode
) -> list[Revision]:
    """The revisions that can be read; the others of this extension are out of helm's way then.

    Raises StepFailed where a person has to decide: none can be read, or it is someone else's.
    """
    unreadable = [revision for revision in revisions if not revision.is_readable]
    readable = [revision for revision in revisions if revision.is_readable]
    for revision in unreadable:
        name = revision.secret["metadata"]["name"]
        place = f"-n {revision.secret['metadata']['namespace']} {name}"
        if not readable:
            raise StepFailed(
                failure,
                f"helm's own record of this release, the Secret {name}, is not readable, and there "
                "is no earlier one to go on from. Bring it back from a backup; or delete it "
                f"(kubectl delete secret {place}), and the chart is installed anew over what "
                "runs, install hooks included",
            )
        if revision.extension != extension:
            raise StepFailed(
                failure,
                f"helm's own record of this release, the Secret {name}, is not readable, and is "
                f"not ArcBridge's. Bring it back from a backup, or delete it (kubectl delete "
                f"secret {place}): helm goes on from revision {readable[0].version} then",
            )
        await _set_aside(kube, revision.secret, extension)
        log.warning("unreadable release set aside", extension=extension, secret=name)
    return readable


async def forget_unreadable(
    kube: KubeClient, namespace: str, extension: str, revisions: Sequence[Revision]
) -> None:
    """Delete these, and what was set aside: the extension itself is gone."""
    page = await kube.list(SECRETS, namespace, label_selector=f"{ASIDE_LABEL}={extension}")
    for secret in [*page.items, *(revision.secret for revision in revisions)]:
        await _delete(kube, secret)


async def _set_aside(kube: KubeClient, secret: Object, extension: str) -> None:
    meta = secret["metadata"]
    copy = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "generateName": f"{_PREFIX}{meta['name']}.",
            "namespace": meta["namespace"],
            "labels": {ASIDE_LABEL: extension},
        },
        "data": secret.get("data") or {},
    }
    await kube.create(SECRETS, copy)
    await _delete(kube, secret)


async def _delete(kube: KubeClient, secret: Object) -> None:
    meta = secret["metadata"]
    try:
        await kube.delete(SECRETS, meta["name"], meta["namespace"], uid=meta.get("uid"))
    except KubeNotFound:
        return
