"""The typed calls, grouped by resource.

Lists are iterators over all pages, fetched as they are needed. An answer may hold fields that this
release does not know; they are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import ValidationError

from arcbridge.client.errors import Unintelligible
from arcbridge.client.transport import Limits, Timing, Transport
from shared.contract.archive import (
    ArchivePage,
    ImportBatch,
    ImportedBatch,
    ImportEnd,
    ImportRequest,
)
from shared.contract.artifact_policy import ArtifactPolicy, ArtifactPolicySpec
from shared.contract.base import WireModel
from shared.contract.ca import CaAbortRequest, CaRotateRequest, CaStatus
from shared.contract.cluster import (
    Cluster,
    ClusterExtension,
    ClusterPatch,
    CorrectionsAsked,
    Drift,
    DriftAccept,
    DriftAction,
    DriftCorrection,
    InventoryObject,
)
from shared.contract.events import Event, EventVerification, HealthSummary
from shared.contract.extension import ExtensionManifest
from shared.contract.freeze import Freeze, FreezeOverride, FreezeSpec
from shared.contract.joining_policy import JoiningPolicy, JoiningPolicySpec
from shared.contract.limits import PAGE_MAX
from shared.contract.plan import RolloutPlan, Simulation
from shared.contract.registration import (
    BootstrapToken,
    BootstrapTokenRequest,
    CreatedBootstrapToken,
    Enrolment,
    EnrolmentDecision,
)
from shared.contract.rollout import (
    ActionRequest,
    Extension,
    PublishResult,
    Revision,
    RollbackRequest,
    RollbackResult,
    Rollout,
    RolloutTarget,
)
from shared.contract.tenant import Tenant, TenantPatch, TenantRequest
from shared.contract.trail import TrailStretch

M = TypeVar("M", bound=WireModel)


class _Group:
    """Calls under `/api/v1`, and how their answers are read."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _get(self, model: type[M], *path: object, **query: object) -> M:
        return _read(model, self._transport.call("GET", _path(path), query=query))

    def _post(self, model: type[M], *path: object, body: WireModel | None, **query: object) -> M:
        wire = None if body is None else body.to_wire()
        return _read(model, self._transport.call("POST", _path(path), body=wire, query=query))

    def _delete(self, *path: object, etag: str | None = None, **query: object) -> httpx.Response:
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        return self._transport.call("DELETE", _path(path), headers=headers, query=query)

    def _pages(self, model: type[M], *path: object, **query: object) -> Iterator[M]:
        cursor: str | None = None
        while True:
            response = self._transport.call("GET", _path(path), query={**query, "cursor": cursor})
            page = json.loads(response.content)
            for item in page["items"]:
                yield model.model_validate_json(json.dumps(item), extra="ignore")
            cursor = page.get("nextCursor")
            if cursor is None:
                return


class Clusters(_Group):
    """Connected clusters."""

    def list(
        self, *, labels: str | None = None, state: str | None = None, text: str | None = None
    ) -> Iterator[Cluster]:
        """Clusters by label selector (`env=prod,region in (eu,us)`), state and part of a name."""
        return self._pages(Cluster, "clusters", labels=labels, state=state, text=text)

    def get(self, name: str) -> Cluster:
        """One cluster."""
        return self._get(Cluster, "clusters", name)

    def patch(self, name: str, patch: ClusterPatch, *, etag: str) -> Cluster:
        """Change labels and annotations; Conflict when `etag` is no longer the cluster's."""
        response = self._transport.call(
            "PATCH",
            _path(("clusters", name)),
            body=patch.model_dump(mode="json", exclude_unset=True),
            headers={"If-Match": f'"{etag}"', "Content-Type": "application/merge-patch+json"},
        )
        return _read(Cluster, response)

    def delete(self, name: str, *, reason: str | None = None) -> None:
        """Deregister: its certificate is revoked; what runs on the cluster stays there."""
        self._delete("clusters", name, reason=reason)

    def revoke(self, name: str, *, reason: str | None = None) -> Cluster:
        """Revoke the certificate; an open stream ends within seconds."""
        return self._post(Cluster, "clusters", name, "revoke", body=ActionRequest(reason=reason))

    def inventory(self, name: str, *, kind: str | None = None) -> Iterator[InventoryObject]:
        """What the cluster consists of."""
        return self._pages(InventoryObject, "clusters", name, "inventory", kind=kind)

    def extensions(self, name: str) -> Iterator[ClusterExtension]:
        """What is desired on the cluster and what runs there."""
        return self._pages(ClusterExtension, "clusters", name, "extensions")

    def events(self, name: str) -> Iterator[Event]:
        """What happened to the cluster, newest first."""
        return self._pages(Event, "clusters", name, "events")

    def agent_manifest(
        self,
        cluster: str,
        *,
        labels: str | None = None,
        external_agent: bool = False,
        approval: bool = False,
    ) -> str:
        """YAML for `kubectl apply -f -`; makes a bootstrap token that it holds."""
        query = {
            "cluster": cluster,
            "labels": labels,
            "agent": "external" if external_agent else None,
            "approval": True if approval else None,
        }
        headers = {"Accept": "application/yaml"}
        return self._transport.call(
            "GET", _path(("agent-manifest",)), query=query, headers=headers
        ).text


class BootstrapTokens(_Group):
    """One-time tokens that let a cluster join."""

    def create(self, request: BootstrapTokenRequest) -> CreatedBootstrapToken:
        """Make a token; its secret is in this answer and never again."""
        return self._post(CreatedBootstrapToken, "bootstrap-tokens", body=request)

    def list(self) -> Iterator[BootstrapToken]:
        """Tokens, newest first."""
        return self._pages(BootstrapToken, "bootstrap-tokens")

    def revoke(self, token_id: UUID) -> None:
        """Make a token unusable."""
        self._delete("bootstrap-tokens", token_id)


class Enrolments(_Group):
    """Clusters that asked to join and wait for an admin."""

    def list(self, *, state: str | None = None) -> Iterator[Enrolment]:
        """Who asked, newest first."""
        return self._pages(Enrolment, "enrolments", state=state)

    def approve(self, name: str, decision: EnrolmentDecision) -> Enrolment:
        """Let it join; it gets its certificate when it asks the next time."""
        return self._post(Enrolment, "enrolments", name, "approve", body=decision)

    def reject(self, name: str, decision: EnrolmentDecision) -> Enrolment:
        """Turn it away; its token is of no use any more."""
        return self._post(Enrolment, "enrolments", name, "reject", body=decision)


class Extensions(_Group):
    """Extensions, their revisions and where they are."""

    def publish(self, manifest: ExtensionManifest | dict[str, Any]) -> PublishResult:
        """Publish: a revision and a rollout, or neither when nothing changed."""
        return _read(
            PublishResult, self._transport.call("POST", _path(("desired",)), body=_wire(manifest))
        )

    def plan(self, manifest: ExtensionManifest | dict[str, Any]) -> RolloutPlan:
        """What publishing would do; nothing is stored."""
        response = self._transport.call(
            "POST", _path(("desired",)), query={"dryRun": "plan"}, body=_wire(manifest)
        )
        return _read(RolloutPlan, response)

    def simulate(
        self,
        manifest: ExtensionManifest | dict[str, Any],
        *,
        failures: str = "0",
        offline: str = "0",
        seed: int = 0,
    ) -> Simulation:
        """How publishing would go if so many clusters failed or were silent; nothing is stored."""
        query = {"dryRun": "simulate", "failures": failures, "offline": offline, "seed": seed}
        response = self._transport.call(
            "POST", _path(("desired",)), query=query, body=_wire(manifest)
        )
        return _read(Simulation, response)

    def list(self) -> Iterator[Extension]:
        """All extensions, in order of name."""
        return self._pages(Extension, "extensions")

    def get(self, name: str) -> Extension:
        """One extension, with its newest spec."""
        return self._get(Extension, "extensions", name)

    def revisions(self, name: str) -> Iterator[Revision]:
        """Revisions, newest first, without their specs."""
        return self._pages(Revision, "extensions", name, "revisions")

    def clusters(self, name: str) -> Iterator[ClusterExtension]:
        """Where the extension is."""
        return self._pages(ClusterExtension, "extensions", name, "clusters")

    def delete(self, name: str, *, reason: str | None = None) -> Rollout:
        """Remove it everywhere, in a paced rollout; the answer is that rollout."""
        return _read(Rollout, self._delete("extensions", name, reason=reason))

    def rollback(self, name: str, request: RollbackRequest) -> RollbackResult:
        """Back to each cluster's last known good revision, or to the one named."""
        return self._post(RollbackResult, "extensions", name, "rollback", body=request)

    def quarantine(self, name: str, number: int, *, reason: str | None = None) -> Revision:
        """Release this revision nowhere any more."""
        return self._revision(name, number, "quarantine", reason)

    def release(self, name: str, number: int, *, reason: str | None = None) -> Revision:
        """End a quarantine."""
        return self._revision(name, number, "release", reason)

    def _revision(self, name: str, number: int, verb: str, reason: str | None) -> Revision:
        body = ActionRequest(reason=reason)
        return self._post(Revision, "extensions", name, "revisions", number, verb, body=body)


class Rollouts(_Group):
    """Rollouts and what a person may do to one."""

    def list(self, *, extension: str | None = None, state: str | None = None) -> Iterator[Rollout]:
        """Rollouts, newest first."""
        return self._pages(Rollout, "rollouts", extension=extension, state=state)

    def get(self, rollout_id: UUID) -> Rollout:
        """One rollout with its stages' progress."""
        return self._get(Rollout, "rollouts", rollout_id)

    def targets(self, rollout_id: UUID, *, state: str | None = None) -> Iterator[RolloutTarget]:
        """Its clusters, in release order."""
        return self._pages(RolloutTarget, "rollouts", rollout_id, "targets", state=state)

    def pause(self, rollout_id: UUID, *, reason: str | None = None) -> Rollout:
        """Release nothing more until it is resumed."""
        return self._act(rollout_id, "pause", reason)

    def resume(self, rollout_id: UUID, *, reason: str | None = None) -> Rollout:
        """Go on."""
        return self._act(rollout_id, "resume", reason)

    def cancel(self, rollout_id: UUID, *, reason: str | None = None) -> Rollout:
        """End it here; what was released stays."""
        return self._act(rollout_id, "cancel", reason)

    def approve(self, rollout_id: UUID, *, reason: str | None = None) -> Rollout:
        """Open the stage that waits for a person."""
        return self._act(rollout_id, "approve", reason)

    def retry(self, rollout_id: UUID, *, reason: str | None = None) -> Rollout:
        """A new rollout of its failed and skipped clusters; the answer is that rollout."""
        return self._act(rollout_id, "retry", reason)

    def override_freeze(self, rollout_id: UUID, *, reason: str, expires_at: datetime) -> Rollout:
        """Let it release in spite of freezes and windows, until then."""
        body = FreezeOverride(reason=reason, expires_at=expires_at)
        return self._post(Rollout, "rollouts", rollout_id, "override-freeze", body=body)

    def _act(self, rollout_id: UUID, verb: str, reason: str | None) -> Rollout:
        return self._post(Rollout, "rollouts", rollout_id, verb, body=ActionRequest(reason=reason))


class Freezes(_Group):
    """Freezes and windows."""

    def list(self) -> Iterator[Freeze]:
        """All of the tenant, by name."""
        return self._pages(Freeze, "freezes")

    def put(self, name: str, spec: FreezeSpec, *, etag: str | None = None) -> Freeze:
        """Make or change one; Conflict when `etag` is given and no longer the stored one's."""
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        path = _path(("freezes", name))
        body = spec.to_wire()
        return _read(Freeze, self._transport.call("PUT", path, body=body, headers=headers))

    def delete(self, name: str) -> None:
        """Remove one."""
        self._delete("freezes", name)


class ArtifactPolicies(_Group):
    """Where the tenant's extensions may come from."""

    def get(self) -> ArtifactPolicy:
        """The policy; without one, the one that allows everything."""
        return self._get(ArtifactPolicy, "artifact-policy")

    def put(self, spec: ArtifactPolicySpec, *, etag: str | None = None) -> ArtifactPolicy:
        """Set it; Conflict when `etag` is given and no longer the stored one's."""
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        path = _path(("artifact-policy",))
        answer = self._transport.call("PUT", path, body=spec.to_wire(), headers=headers)
        return _read(ArtifactPolicy, answer)


class JoiningPolicies(_Group):
    """What the tenant asks of clusters that join."""

    def get(self) -> JoiningPolicy:
        """The policy; without one, the one that asks for nothing."""
        return self._get(JoiningPolicy, "joining-policy")

    def put(self, spec: JoiningPolicySpec, *, etag: str | None = None) -> JoiningPolicy:
        """Set it; Conflict when `etag` is given and no longer the stored one's."""
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        path = _path(("joining-policy",))
        answer = self._transport.call("PUT", path, body=spec.to_wire(), headers=headers)
        return _read(JoiningPolicy, answer)


class Drifts(_Group):
    """Open drift."""

    def list(
        self,
        *,
        cluster: str | None = None,
        extension: str | None = None,
        kind: str | None = None,
    ) -> Iterator[Drift]:
        """Drift that is open now."""
        return self._pages(Drift, "drift", cluster=cluster, extension=extension, kind=kind)

    def correct(self, drift_id: UUID, *, reason: str | None = None) -> Drift:
        """Ask the cluster's agent to set it right once."""
        return self._post(Drift, "drift", drift_id, "correct", body=DriftAction(reason=reason))

    def correct_many(
        self, extension: str, *, labels: str | None = None, reason: str | None = None
    ) -> CorrectionsAsked:
        """Have an extension's drift set right on many clusters, at the pace of its rollouts."""
        body = DriftCorrection(extension=extension, labels=labels, reason=reason)
        return self._post(CorrectionsAsked, "drift", "correct", body=body)

    def accept(self, drift_id: UUID, *, reason: str, expires_at: datetime) -> Drift:
        """Call the differences right, until then."""
        body = DriftAccept(reason=reason, expires_at=expires_at)
        return self._post(Drift, "drift", drift_id, "accept", body=body)


class Events(_Group):
    """The audit trail."""

    def list(self, *, subject: str | None = None) -> Iterator[Event]:
        """Entries, newest first; `subject` such as `cluster/eu-1`."""
        return self._pages(Event, "events", subject=subject)

    def export(self, *, after: int = 0) -> Iterator[TrailStretch]:
        """The trail with its hashes, oldest first, a stretch at a time."""
        at: int | None = after
        while at is not None:
            stretch = self._get(TrailStretch, "events", "export", after=at, limit=PAGE_MAX)
            yield stretch
            at = stretch.next_after

    def verify(self) -> Iterator[EventVerification]:
        """Check the hash chain, a long stretch at a time: the last answer is of the whole trail.

        It is broken, too, where the trail ends before an entry that it had when an earlier stretch
        was checked. Raises Unintelligible when an answer does not come further.
        """
        at: dict[str, Any] = {}
        checked = written = 0
        while True:
            answer = self._get(EventVerification, "events", verify=True, **at)
            written = max(written, answer.written)
            if answer.next_after is None:
                yield _reaching(answer, written)
                return
            if answer.next_after <= checked:
                raise Unintelligible("the check of the audit trail does not come further")
            yield answer
            checked = answer.next_after
            at = {"after": answer.next_after, "hash": answer.next_hash}


def _reaching(answer: EventVerification, written: int) -> EventVerification:
    """The last answer, given how far the trail went before: one single call would have seen it."""
    if not answer.intact or answer.checked >= written:
        return answer
    return answer.model_copy(
        update={
            "intact": False,
            "written": written,
            "first_broken_sequence": answer.checked + 1,
            "detail": f"the trail ends at {answer.checked}; it was written to {written} before",
        }
    )


class Tenants(_Group):
    """Tenants, for those who run the platform."""

    def list(self) -> Iterator[Tenant]:
        """All of them, by name."""
        return self._pages(Tenant, "tenants")

    def get(self, name: str) -> Tenant:
        """One tenant."""
        return self._get(Tenant, "tenants", name)

    def create(self, request: TenantRequest) -> Tenant:
        """Make one."""
        return self._post(Tenant, "tenants", body=request)

    def patch(self, name: str, patch: TenantPatch) -> Tenant:
        """Set its quotas, all of them."""
        path = _path(("tenants", name))
        return _read(Tenant, self._transport.call("PATCH", path, body=patch.to_wire()))

    def suspend(self, name: str, *, reason: str | None = None) -> Tenant:
        """Refuse its people and agents; its clusters run on."""
        return self._post(Tenant, "tenants", name, "suspend", body=ActionRequest(reason=reason))

    def resume(self, name: str, *, reason: str | None = None) -> Tenant:
        """Let them in again."""
        return self._post(Tenant, "tenants", name, "resume", body=ActionRequest(reason=reason))

    def delete(self, name: str) -> None:
        """Remove a suspended tenant's data for good; its audit trail stays."""
        self._delete("tenants", name)

    def export(self, name: str) -> Iterator[ArchivePage]:
        """A suspended tenant, a bounded stretch at a time."""
        cursor: str | None = None
        while True:
            page = self._get(ArchivePage, "tenants", name, "export", cursor=cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def begin_import(self, name: str, request: ImportRequest) -> Tenant:
        """Begin to fill an empty tenant from a file, or go on with it."""
        return self._post(Tenant, "tenants", name, "import", body=request)

    def import_records(self, name: str, batch: ImportBatch) -> ImportedBatch:
        """Put records in; those that are in change nothing."""
        return self._post(ImportedBatch, "tenants", name, "import", "records", body=batch)

    def finish_import(self, name: str, end: ImportEnd) -> Tenant:
        """Check that all of the file is in."""
        return self._post(Tenant, "tenants", name, "import", "finish", body=end)


class CertificationAuthority(_Group):
    """The CA, for platform admins."""

    def status(self) -> CaStatus:
        """Its generations, who takes them, and what a rotation waits for."""
        return self._get(CaStatus, "ca")

    def rotate(self, request: CaRotateRequest) -> CaStatus:
        """Prepare the next generation, and take every step that can be taken."""
        return self._post(CaStatus, "ca", "rotate", body=request)

    def abort(self, request: CaAbortRequest) -> CaStatus:
        """Take a prepared generation back."""
        return self._post(CaStatus, "ca", "abort", body=request)


class Client:
    """The operators' API of one ArcBridge server; a context manager."""

    def __init__(
        self,
        server: str,
        *,
        token: Callable[[], str] | None = None,
        limits: Limits | None = None,
        timing: Timing | None = None,
        ca_file: str | None = None,
    ) -> None:
        """`token` gives a bearer token and is asked at each call; it caches by itself."""
        self._transport = Transport(server, token, limits=limits, timing=timing, ca_file=ca_file)
        self.clusters = Clusters(self._transport)
        self.tokens = BootstrapTokens(self._transport)
        self.enrolments = Enrolments(self._transport)
        self.extensions = Extensions(self._transport)
        self.rollouts = Rollouts(self._transport)
        self.freezes = Freezes(self._transport)
        self.artifact_policy = ArtifactPolicies(self._transport)
        self.joining_policy = JoiningPolicies(self._transport)
        self.drift = Drifts(self._transport)
        self.events = Events(self._transport)
        self.tenants = Tenants(self._transport)
        self.ca = CertificationAuthority(self._transport)

    def health_summary(self) -> HealthSummary:
        """Open incidents, worst first, and counts by state."""
        return _read(HealthSummary, self._transport.call("GET", "v1/health/summary"))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _path(parts: tuple[object, ...]) -> str:
    return "/".join(("v1", *(quote(str(part), safe="") for part in parts)))


def _read(model: type[M], response: httpx.Response) -> M:
    try:
        return model.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        raise Unintelligible(
            f"{response.request.url} answered {response.status_code} with what is no "
            f"{model.__name__}: is this ArcBridge's address, and of this release?"
        ) from error


def _wire(manifest: ExtensionManifest | dict[str, Any]) -> dict[str, Any]:
    return manifest if isinstance(manifest, dict) else manifest.to_wire()
