"""Attacks with what the agent may do in a cluster, once it is taken over."""

from __future__ import annotations

from typing import Any

import yaml

from tests.attacks.attack import held, row
from tests.attacks.target import CLUSTERS, Target

DANGEROUS = frozenset({"*", "escalate", "bind", "deletecollection", "proxy"})
"""Verbs that would make more of a role than it is."""
WRITES = frozenset({"create", "update", "patch", "delete"})


@row(
    "agent in cluster",
    "RBAC wider than needed",
    expected="no *, escalate or bind; one account to impersonate; no secret but its own",
)
async def wide_rights(target: Target) -> str:
    answer = await target.ask("GET", "agent-manifest", params={"cluster": "attack-rights"})
    objects = [each for each in yaml.safe_load_all(answer.text) if each]
    roles = [each for each in objects if each["kind"] in ("Role", "ClusterRole")]
    rules = [(role["kind"], rule) for role in roles for rule in role["rules"]]
    wild = [rule for _, rule in rules if DANGEROUS & {*rule["verbs"], *rule["resources"]}]
    impersonates = [rule for _, rule in rules if "impersonate" in rule["verbs"]]
    everywhere = [rule for kind, rule in rules if kind == "ClusterRole" and _writes(rule)]
    secrets = [rule for _, rule in rules if "secrets" in rule["resources"] and _reads(rule)]
    installed = await target.kubectl(CLUSTERS[0], "get", "clusterroles,roles", "-A")
    there = [
        rule
        for role in installed["items"]
        if role["metadata"]["name"].startswith("arcbridge")
        for rule in role.get("rules") or ()
        if DANGEROUS & {*rule["verbs"], *rule.get("resources", ())}
    ]
    seen = (
        f"{len(rules)} rules in {len(roles)} roles: {len(wild)} with wildcards; impersonates "
        f"{[rule.get('resourceNames') for rule in impersonates]}; writes everywhere "
        f"{[rule['resources'] for rule in everywhere]}; reads secrets "
        f"{[rule.get('resourceNames') for rule in secrets]}"
    )
    held(roles and not wild and not there, f"{seen} {wild or there}")
    held(len(impersonates) == 1 and len(impersonates[0]["resourceNames"]) == 1, seen)
    held(all("arcbridge.io" in rule["apiGroups"] for rule in everywhere), seen)
    held(all(rule.get("resourceNames") for rule in secrets), seen)
    return seen


def _writes(rule: dict[str, Any]) -> bool:
    return bool(WRITES & {*rule["verbs"]})


def _reads(rule: dict[str, Any]) -> bool:
    return bool({"get", "list", "watch"} & {*rule["verbs"]})
