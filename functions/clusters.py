"""Connected clusters: list, read, label, revoke, deregister, and what runs on them."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from functions.edge.bodies import JSON, MERGE_PATCH
from functions.edge.endpoint import Call, IfMatch
from functions.edge.paging import PageQuery
from functions.edge.resource import Resource
from shared.contract.base import Name, Reason, Text, WireModel
from shared.contract.cluster import Cluster, ClusterExtension, ClusterPatch, InventoryObject
from shared.contract.events import Event
from shared.contract.page import Page
from shared.contract.rollout import ActionRequest
from shared.contract.states import ConnectionState
from shared.services import clusters, selectors
from shared.services.clusters import ClusterFilter

api = Resource("clusters")
NO_REASON = ActionRequest()
"""What an empty body stands for."""
Word = Annotated[Text, StringConstraints(min_length=1, max_length=128)]


class ClusterQuery(PageQuery):
    """Which clusters to list."""

    labels: Annotated[Text, StringConstraints(max_length=2048)] | None = None
    """A label selector as `kubectl -l` takes it: `env=prod,region in (eu,us),!legacy`."""
    state: ConnectionState | None = None
    """Deregistered clusters are listed with this filter only."""
    text: Word | None = None
    """Part of the name, the distribution or the Kubernetes version."""


class InventoryQuery(PageQuery):
    """Which part of an inventory to list."""

    kind: Word | None = None


class WithReason(WireModel):
    """Why; kept in the audit trail."""

    reason: Reason | None = None


@api.endpoint("GET", "v1/clusters")
async def clusters_list(call: Call, query: ClusterQuery) -> Page[Cluster]:
    """List clusters by name."""
    chosen = ClusterFilter(
        labels=selectors.parse(query.labels or ""), state=query.state, text=query.text
    )
    return await clusters.list_clusters(
        call.cp, call.caller, chosen=chosen, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("GET", "v1/clusters/{name}")
async def clusters_get(call: Call, name: Name) -> Cluster:
    """Read one cluster."""
    return await clusters.get(call.cp, call.caller, name)


@api.endpoint("PATCH", "v1/clusters/{name}", accepts=(MERGE_PATCH, JSON), if_match=IfMatch.REQUIRED)
async def clusters_patch(call: Call, name: Name, body: ClusterPatch) -> Cluster:
    """Change labels and annotations (RFC 7396); extensions follow the labels."""
    return await clusters.patch(call.cp, call.caller, name, body, if_match=call.if_match)


@api.endpoint("DELETE", "v1/clusters/{name}", if_match=IfMatch.OPTIONAL)
async def clusters_delete(call: Call, name: Name, query: WithReason) -> None:
    """Deregister a cluster.

    Its certificate is revoked and rollouts leave it out; what runs on it stays.
    """
    await clusters.delete(call.cp, call.caller, name, if_match=call.if_match, reason=query.reason)


@api.endpoint("POST", "v1/clusters/{name}/revoke")
async def clusters_revoke(call: Call, name: Name, body: ActionRequest = NO_REASON) -> Cluster:
    """Revoke a cluster's certificate; its stream ends within 5 s."""
    return await clusters.revoke(call.cp, call.caller, name, reason=body.reason)


@api.endpoint("GET", "v1/clusters/{name}/inventory")
async def clusters_inventory(
    call: Call, name: Name, query: InventoryQuery
) -> Page[InventoryObject]:
    """List what a cluster consists of."""
    return await clusters.inventory(
        call.cp, call.caller, name, kind=query.kind, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("GET", "v1/clusters/{name}/extensions")
async def clusters_extensions(call: Call, name: Name, query: PageQuery) -> Page[ClusterExtension]:
    """List a cluster's extensions: desired and observed."""
    return await clusters.extensions(
        call.cp, call.caller, name, cursor=query.cursor, limit=query.limit
    )


@api.endpoint("GET", "v1/clusters/{name}/events")
async def clusters_events(call: Call, name: Name, query: PageQuery) -> Page[Event]:
    """List the audit trail of a cluster, newest first."""
    return await clusters.cluster_events(
        call.cp, call.caller, name, cursor=query.cursor, limit=query.limit
    )
