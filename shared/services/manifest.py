"""The manifest that connects a cluster: a fresh bootstrap token in the agent's installation."""

from __future__ import annotations

from shared.contract.base import format_duration
from shared.contract.registration import BootstrapTokenRequest
from shared.manifests.install import AgentInstall
from shared.manifests.render import render
from shared.services import bootstrap_tokens
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane


async def agent_manifest(
    cp: ControlPlane,
    caller: Caller,
    request: BootstrapTokenRequest,
    *,
    external: bool = False,
    allowed_namespaces: tuple[str, ...] | None = None,
) -> str:
    """YAML for `kubectl apply -f -`; it holds a token, so the caller must be an admin.

    The token is bound to `request.cluster_name`, which must be set. `external` leaves the
    Deployment out: the agent then runs elsewhere, with a kubeconfig of the cluster.
    """
    if request.cluster_name is None:
        raise ValueError("a manifest is for one cluster")
    token = await bootstrap_tokens.create(cp, caller, request)
    install = AgentInstall(
        cluster_name=request.cluster_name,
        tenant=caller.tenant,
        control_plane_url=cp.settings.control_plane_url,
        ca_pin=token.ca_pin,
        token=token.token,
        image=cp.settings.agent_image,
        labels=request.labels,
        allowed_namespaces=allowed_namespaces,
        external=external,
        relay_port=int(cp.settings.relay_address.rpartition(":")[2]),
    )
    head = (
        f"# ArcBridge agent for cluster {request.cluster_name} of tenant {caller.tenant}.\n"
        f"# The bootstrap token in it is good once, for {format_duration(request.lifetime)}.\n"
    )
    return head + render(install)
