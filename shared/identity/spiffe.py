"""A cluster's name in its certificate: `spiffe://<trust domain>/tenant/<t>/cluster/<id>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

_URI = re.compile(
    r"spiffe://(?P<domain>[a-z0-9._-]{1,255})"
    r"/tenant/(?P<tenant>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
    r"/cluster/(?P<cluster>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """The identity of one cluster."""

    trust_domain: str
    tenant: str
    cluster_id: UUID

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/tenant/{self.tenant}/cluster/{self.cluster_id}"


def parse(uri: str) -> SpiffeId:
    """Read a cluster's URI. Raises ValueError for anything that is not exactly one."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError("not the URI of a cluster")
    return SpiffeId(match["domain"], match["tenant"], UUID(match["cluster"]))
