"""Attacks on the calls that agents make over REST with assertions signed by their own keys."""

from __future__ import annotations

import time
import uuid
from typing import Any

import jwt

from tests.attacks.attack import held, row
from tests.attacks.target import CLUSTERS, Target
from tests.joined_cluster import JoinedCluster

BATCH = {"sessionEpoch": 0, "events": []}


def assertion(cluster: JoinedCluster, key: str | None = None, **changes: Any) -> dict[str, str]:
    """An assertion as the agent makes it, but for the changes; claims set to None are left out."""
    now = int(time.time())
    claims = {
        "iss": cluster.cluster_id,
        "sub": cluster.cluster_id,
        "aud": cluster.audience,
        "iat": now,
        "exp": now + 240,
        "jti": uuid.uuid4().hex,
    } | changes
    token = jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key or cluster.private_key,
        algorithm="ES256",
        headers={"x5t#S256": cluster.thumbprint},
    )
    return {"Authorization": f"Bearer {token}"}


@row(
    "REST agent",
    "replayed, expired, future, too long-lived assertion; for another audience; no jti",
    expected="401",
)
async def bad_assertions(target: Target) -> str:
    cluster = await target.enrolled()
    once = assertion(cluster)
    first = await target.ask("POST", "status", who=None, headers=once, json=BATCH)
    held(first.status_code == 200, f"a good one: {first.status_code} {first.text}")
    now = int(time.time())
    tries = {
        "replayed": once,
        "expired": assertion(cluster, iat=now - 900, exp=now - 600),
        "future": assertion(cluster, iat=now + 600, exp=now + 800),
        "an hour long": assertion(cluster, exp=now + 3600),
        "other audience": assertion(cluster, aud="https://elsewhere.example"),
        "no jti": assertion(cluster, jti=None),
        "no exp": assertion(cluster, exp=None),
    }
    statuses = {}
    for why, headers in tries.items():
        answer = await target.ask("POST", "status", who=None, headers=headers, json=BATCH)
        statuses[why] = answer.status_code
    seen = ", ".join(f"{why} {status}" for why, status in statuses.items())
    held(set(statuses.values()) == {401}, seen)
    return seen


@row(
    "REST agent",
    "another cluster's id: in the assertion, signed for it, in the body; its rollout reported",
    expected="401; 400; the report does not count",
)
async def another_clusters_id(target: Target) -> str:
    mine, other = await target.enrolled(), await target.enrolled()
    as_other = assertion(mine, iss=other.cluster_id, sub=other.cluster_id)
    by_its_certificate = assertion(other, key=mine.private_key)
    statuses = {}
    for why, headers in {"as it": as_other, "by its certificate": by_its_certificate}.items():
        statuses[why] = (await target.ask("GET", "desired", who=None, headers=headers)).status_code
    named = {**BATCH, "clusterId": other.cluster_id}
    answer = await target.ask("POST", "status", who=None, headers=assertion(mine), json=named)
    before = await target.sql("select count(*) from assignments where phase is not null")
    report = await target.ask(
        "POST", "status", who=None, headers=assertion(mine), json=await _report_of(target)
    )
    after = await target.sql("select count(*) from assignments where phase is not null")
    seen = (
        f"{', '.join(f'{why} {status}' for why, status in statuses.items())}, in the body "
        f"{answer.status_code}, its rollout {report.status_code}"
    )
    held(set(statuses.values()) == {401} and answer.status_code == 400, seen)
    held(report.status_code < 500 and after[0]["count"] >= before[0]["count"], seen)
    forged = await target.sql(
        "select count(*) from assignments where cluster_id = %s", uuid.UUID(mine.cluster_id)
    )
    held(forged[0]["count"] == 0, f"{seen}; it was stored")
    return f"{seen}, nothing stored of it"


async def _report_of(target: Target) -> dict[str, Any]:
    """A report on an extension that only another cluster was given."""
    manifest = {
        "metadata": {"name": "attack-foreign"},
        "spec": {
            "placement": {"matchLabels": {"arcbridge.io/none": CLUSTERS[0]}},
            "namespace": "attack-foreign",
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        },
    }
    made = await target.ask("POST", "desired", who="operator", json=manifest)
    made.raise_for_status()
    event = {
        "id": str(uuid.uuid4()),
        "sequence": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
        "extension": "attack-foreign",
        "phase": "Ready",
        "revision": 1,
        "specDigest": "sha256:" + "0" * 64,
        "rolloutId": made.json()["rolloutId"],
        "observedGeneration": 1,
        "reason": "InstallSucceeded",
    }
    return {"sessionEpoch": 0, "events": [event]}
