"""A valid request for every route: what the walks, the mutations and the attacks start from.

A new endpoint that must have a body has to be given one here; the walk over the routes fails
until then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.edge.endpoint import Endpoint, IfMatch
from functions.registry import endpoints

PLACEHOLDER = re.compile(r"\{(\w+)\}")
LATER = "2999-01-01T00:00:00Z"
EXTENSION: dict[str, Any] = {
    "apiVersion": "arcbridge.io/v1",
    "kind": "Extension",
    "metadata": {"name": "web", "labels": {"team": "edge"}, "annotations": {"note": "text"}},
    "spec": {
        "placement": {"matchLabels": {"env": "prod"}},
        "namespace": "web",
        "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        "readiness": {"timeout": "5m"},
        "drift": {"mode": "warn", "interval": "10m"},
        "rollout": {"stages": [{"name": "all", "maxConcurrent": "10%", "soak": "1m"}]},
    },
    "reason": "because",
}
BODIES: Mapping[str, Any] = {
    "desired_publish": EXTENSION,
    "extensions_rollback": {"reason": "r"},
    "rollouts_override_freeze": {"reason": "r", "expiresAt": LATER},
    "freezes_put": {
        "kind": "deny",
        "timeZone": "Europe/Berlin",
        "weekly": [{"days": ["fri"], "start": "22:00", "end": "04:00"}],
        "startsAt": "2998-01-01T00:00:00Z",
        "endsAt": LATER,
        "extensions": ["nothing"],
        "reason": "r",
    },
    "artifact_policy_put": {
        "sources": ["https://charts.example.org/team", "oci://*.azurecr.io"],
        "inline": True,
        "requireDigest": True,
        "cosignKeys": [],
        "reason": "r",
    },
    "joining_policy_put": {"approval": False, "reason": "r"},
    "drift_accept": {"reason": "r", "expiresAt": LATER},
    "drift_correct_many": {"extension": "web", "labels": "env=prod", "reason": "because"},
    "clusters_patch": {"labels": {"a": "b"}},
    "bootstrap_tokens_create": {"clusterName": "eu-9", "labels": {"a": "b"}, "lifetime": "5m"},
    "register": {
        "token": f"abt_demo.{'0' * 32}.{'x' * 43}",
        "csr": "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
        "clusterName": "eu-9",
        "facts": {"kubernetesVersion": "v1.34.1"},
    },
    "status_report": {"sessionEpoch": 0, "events": []},
    "ca_abort": {"reason": "r"},
    "tenants_create": {"name": "acme", "quotas": {"clusters": 5}, "reason": "r"},
    "tenants_patch": {"quotas": {"clusters": 5}},
    "tenants_import": {
        "sha256": "0" * 64,
        "createdAt": "2026-01-01T00:00:00Z",
        "quotas": {"clusters": 5},
        "trail": {"sequence": 0, "hash": ""},
    },
    "tenants_import_records": {
        "sha256": "0" * 64,
        "records": [{"kind": "clusters", "record": {"name": "eu-1"}}],
    },
    "tenants_import_finish": {
        "sha256": "0" * 64,
        "trail": {"sequence": 0, "hash": ""},
        "counts": {"clusters": 1},
    },
}
"""By Function; where a body is optional and none stands here, `{"reason": "r"}` is sent."""
PAGE = {"limit": "10"}
QUERIES: Mapping[str, Mapping[str, str]] = {
    "desired_publish": {"dryRun": "plan"},
    "extensions_list": {**PAGE, "text": "w"},
    "rollouts_list": {**PAGE, "extension": "web"},
    "drift_list": {**PAGE, "cluster": "eu-1"},
    "clusters_list": {**PAGE, "labels": "env=prod", "text": "eu"},
    "clusters_inventory": {**PAGE, "kind": "Node"},
    "agent_manifest": {"cluster": "eu-9", "labels": "a=b"},
    "events_list": {**PAGE, "subject": "cluster/eu-1"},
    "clusters_delete": {"reason": "r"},
    "extensions_delete": {"reason": "r"},
}

NOWHERE: Mapping[str, str] = {
    "name": "no-such-thing",
    "number": "1",
    "rollout_id": "00000000-0000-7000-8000-000000000000",
    "token_id": "00000000-0000-7000-8000-000000000000",
    "drift_id": "00000000-0000-7000-8000-000000000000",
}
"""Each placeholder with what could be a name or an id, and is none."""


@dataclass(frozen=True)
class Request:
    """A request without its credential."""

    function: str
    method: str
    path: str
    """With `/api/` and every placeholder filled in."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def content(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else json.dumps(self.body).encode()


def request_for(endpoint: Endpoint, known: Mapping[str, str], *, query: bool = False) -> Request:
    """The request that would be right but for who makes it; `known` fills the placeholders."""
    headers = {"If-Match": "*"} if endpoint.if_match is IfMatch.REQUIRED else {}
    body = None
    if endpoint.body is not None:
        body = BODIES[endpoint.name] if endpoint.default_body is None else {"reason": "r"}
        body = BODIES.get(endpoint.name, body)
        headers["Content-Type"] = endpoint.accepts[0]
    return Request(
        function=endpoint.name,
        method=endpoint.method,
        path="/api/" + PLACEHOLDER.sub(lambda found: known[found[1]], endpoint.route),
        query=QUERIES.get(endpoint.name, {}) if query else {},
        headers=headers,
        body=body,
    )


def by_name() -> dict[str, Endpoint]:
    """Every endpoint by its Function's name."""
    return {each.name: each for each in endpoints()}
