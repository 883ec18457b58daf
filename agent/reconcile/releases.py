"""Helm's own records: the Secrets that hold a release's revisions, and what state they are in.

Reading them directly costs one request, where asking helm costs a process; and a stuck one can be
set right, which helm itself has no command for.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Any

from agent.errors import KubeForbidden
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.objects import Object

OWNER_LABEL = "arcbridge.io/release-of"
"""On a release's Secret: the extension. Not the label of the extension's own objects, because the
Secret is helm's and no part of what the revision renders."""
SPEC_LABEL = "arcbridge.io/spec"
"""On a release's Secret: what it was made from, see `spec_mark`."""
SECRETS = Resource("", "v1", "Secret", "secrets", namespaced=True)
DESCRIPTION = "ArcBridge revision"
"""How the description of each Helm revision that the agent makes begins."""
_PENDING = frozenset({"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"})
_WAS_DEPLOYED = frozenset({"deployed", "superseded"})
_GZIP = b"\x1f\x8b\x08"
_LIMIT = 32 * 1024 * 1024


class ReleaseState(StrEnum):
    """What a release's history says, newest revision first."""

    ABSENT = "Absent"
    FOREIGN = "Foreign"
    """Deployed, but not by this agent: to be adopted."""
    IN_SYNC = "InSync"
    OUT_OF_SYNC = "OutOfSync"
    """Deployed by this agent from something else."""
    PENDING = "Pending"
    """Some helm works on it, or was killed while it did."""
    FAILED_INSTALL = "FailedInstall"
    """No revision was ever deployed."""
    FAILED = "Failed"
    """The newest revision failed, an earlier one was deployed."""
    UNINSTALLED = "Uninstalled"
    """Removed, with its history kept."""


@dataclass(frozen=True)
class Revision:
    """One revision of a release."""

    version: int
    status: str
    extension: str
    mark: str
    secret: Object

    @property
    def is_readable(self) -> bool:
        """False where what helm kept is cut off or overwritten: helm passes over it then."""
        try:
            decode_release(self.secret)
        except ValueError:
            return False
        return True


def spec_mark(content_digest: str) -> str:
    """The label value for a digest: its first 160 bits, because a value has 63 characters."""
    return content_digest.removeprefix("sha256:")[:40]


async def load_revisions(kube: KubeClient, namespace: str, release: str) -> list[Revision]:
    """The revisions of a release, newest first."""
    page = await kube.list(SECRETS, namespace, label_selector=f"owner=helm,name={release}")
    found = [revision for item in page.items if (revision := _revision(item)) is not None]
    return sorted(found, key=lambda revision: revision.version, reverse=True)


async def find_releases(kube: KubeClient, extension: str) -> set[tuple[str, str]]:
    """(namespace, release) of every release of an extension, anywhere in the cluster; none where
    the cluster does not allow to look everywhere."""
    selector = f"owner=helm,{OWNER_LABEL}={extension}"
    try:
        page = await kube.list(SECRETS, None, label_selector=selector)
    except KubeForbidden:
        return set()
    return {
        (item["metadata"]["namespace"], item["metadata"]["labels"]["name"]) for item in page.items
    }


def state_of(revisions: Sequence[Revision], mark: str) -> ReleaseState:
    """The state of a release that should carry `mark`."""
    if not revisions:
        return ReleaseState.ABSENT
    newest = revisions[0]
    if newest.status in _PENDING:
        return ReleaseState.PENDING
    if newest.status == "deployed":
        if not newest.mark:
            return ReleaseState.FOREIGN
        return ReleaseState.IN_SYNC if newest.mark == mark else ReleaseState.OUT_OF_SYNC
    if newest.status == "uninstalled":
        return ReleaseState.UNINSTALLED
    ever = any(revision.status in _WAS_DEPLOYED for revision in revisions)
    return ReleaseState.FAILED if ever else ReleaseState.FAILED_INSTALL


def never_taken_over(revisions: Sequence[Revision], extension: str) -> Revision | None:
    """The revision of someone else that still is what was last deployed, where every revision of
    the extension failed; None where one of them was deployed, or nothing was there before."""
    good = [revision for revision in revisions if revision.status in _WAS_DEPLOYED]
    if any(revision.extension == extension for revision in good):
        return None
    return good[0] if good else None


def failed_before(revisions: Sequence[Revision]) -> list[Revision]:
    """The revisions that failed between the newest one and that which was deployed before it: helm
    forgets what they had made."""
    earlier = takewhile(lambda revision: revision.status not in _WAS_DEPLOYED, revisions[1:])
    return [revision for revision in earlier if revision.is_readable]


def made_by_agent(revision: Revision) -> bool:
    """False for a deployed revision that someone else's helm made, or that nobody can read."""
    if revision.status != "deployed":
        return True
    if not revision.is_readable:
        return False
    info = decode_release(revision.secret).get("info") or {}
    return str(info.get("description", "")).startswith(DESCRIPTION)


def decode_release(secret: Object) -> dict[str, Any]:
    """The release inside a Secret: base64 twice, gzip, JSON. Raises ValueError otherwise."""
    raw = base64.b64decode(base64.b64decode((secret.get("data") or {}).get("release", "")))
    if raw.startswith(_GZIP):
        raw = _unpacked(raw)
    if len(raw) > _LIMIT:
        raise ValueError("the release is larger than any release should be")
    try:
        release = json.loads(raw)
    except RecursionError as error:
        raise ValueError("the release is nested deeper than any release should be") from error
    if not isinstance(release, dict):
        raise ValueError("the release is not an object")  # noqa: TRY004 - one error for bad content
    return release


def _unpacked(raw: bytes) -> bytes:
    """At most a byte above the limit: what is packed into a Secret may be a thousand times it."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(raw, _LIMIT + 1)
    except zlib.error as error:
        raise ValueError("the release cannot be unpacked") from error


def encode_release(release: dict[str, Any]) -> str:
    """The `data.release` of a Secret for a release."""
    raw = gzip.compress(json.dumps(release).encode(), mtime=0)
    return base64.b64encode(base64.b64encode(raw)).decode()


def unlocked(revision: Revision, description: str) -> Object:
    """The Secret of a pending revision, turned into a failed one.

    helm refuses to touch a pending release; from a failed one it goes on. The resourceVersion
    stays, so that a helm that is alive after all makes the replacement fail.
    """
    release = decode_release(revision.secret)
    release["info"] = {
        **(release.get("info") or {}),
        "status": "failed",
        "description": description,
    }
    meta = revision.secret["metadata"]
    return {
        **revision.secret,
        "metadata": {
            **{key: value for key, value in meta.items() if key != "managedFields"},
            "labels": {**(meta.get("labels") or {}), "status": "failed"},
        },
        "data": {**revision.secret["data"], "release": encode_release(release)},
    }


def _revision(secret: Object) -> Revision | None:
    labels = secret.get("metadata", {}).get("labels") or {}
    try:
        version = int(labels.get("version", ""))
    except ValueError:
        return None
    return Revision(
        version=version,
        status=str(labels.get("status", "unknown")),
        extension=str(labels.get(OWNER_LABEL, "")),
        mark=str(labels.get(SPEC_LABEL, "")),
        secret=secret,
    )
