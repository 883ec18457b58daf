"""What an installation is told: where the control plane is, which cluster this is, what it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NAMESPACE = "arcbridge-system"
AGENT = "arcbridge-agent"
RECONCILER = "arcbridge-reconciler"
BOOTSTRAP_SECRET = "arcbridge-bootstrap"  # noqa: S105 - the name of a Secret
IDENTITY_SECRET = "arcbridge-agent-identity"  # noqa: S105 - the name of a Secret
LEASE = "arcbridge-agent"
HTTP_PORT = 8080


@dataclass(frozen=True)
class AgentInstall:
    """One cluster's installation. Holds a bootstrap token."""

    cluster_name: str
    tenant: str
    control_plane_url: str
    ca_pin: str
    token: str = field(repr=False)
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allowed_namespaces: tuple[str, ...] | None = None
    """None lets extensions be installed everywhere; names bind the reconciler there only."""
    namespace: str = NAMESPACE
    replicas: int = 2
    external: bool = False
    """True leaves the Deployment and its NetworkPolicy out: the agent runs elsewhere."""
    relay_port: int = 443
    """The NetworkPolicy lets the agent reach it."""
