"""The manifest that connects a cluster: all that `kubectl apply -f -` needs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from functions.edge.bodies import YAML
from functions.edge.endpoint import Call, RawAnswer
from functions.edge.field_errors import one
from functions.edge.resource import Resource
from shared.contract.base import Duration, Labels, Name, Text, WireModel
from shared.contract.limits import BOOTSTRAP_TOKEN_LIFETIME
from shared.contract.registration import BootstrapTokenRequest
from shared.services import manifest

api = Resource("clusters")
_LABELS: TypeAdapter[Labels] = TypeAdapter(Labels)


class Agent(StrEnum):
    """Where the agent runs."""

    EXTERNAL = "external"
    """Elsewhere, with a kubeconfig: the manifest has no Deployment."""


class ManifestQuery(WireModel):
    """Which cluster the manifest is for."""

    cluster: Name
    labels: Annotated[Text, StringConstraints(max_length=4096)] | None = None
    """Put on the cluster when it registers: `env=prod,region=eu`."""
    agent: Agent | None = None
    lifetime: Duration = BOOTSTRAP_TOKEN_LIFETIME
    """Of the bootstrap token in it, from 1m to 24h."""
    approval: bool = False
    """The cluster waits for an admin's approval when it joins."""


@api.endpoint("GET", "v1/agent-manifest", content_type=YAML)
async def agent_manifest(call: Call, query: ManifestQuery) -> RawAnswer:
    """Make the YAML that connects a cluster.

    Each call makes a bootstrap token, bound to the cluster's name, that the YAML holds.
    """
    try:
        request = BootstrapTokenRequest(
            cluster_name=query.cluster,
            labels=_pairs(query.labels),
            lifetime=query.lifetime,
            approval=query.approval,
        )
    except ValidationError as error:
        raise one("lifetime", "must be between 1m and 24h") from error
    text = await manifest.agent_manifest(
        call.cp, call.caller, request, external=query.agent is Agent.EXTERNAL
    )
    return RawAnswer(text.encode(), f"{YAML}; charset=utf-8")


def _pairs(text: str | None) -> dict[str, str]:
    parts = [part.partition("=") for part in text.split(",")] if text else []
    try:
        if not all(equals for _, equals, _ in parts):
            raise ValueError("a pair has no '='")
        return _LABELS.validate_python({key.strip(): value.strip() for key, _, value in parts})
    except ValueError as error:  # pydantic's is one, too
        raise one("labels", "are not labels", "write them as env=prod,region=eu") from error
