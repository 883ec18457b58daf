"""Who may call which Function: the one table, route × role.

A Function that is not in the table answers nobody: registering it fails, and so does the test that
walks the app. The table says which *kind* of caller and which roles; that a caller only ever
reaches its own tenant is the business of the credential and of row level security.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from shared.contract.states import Role
from shared.identity import roles


class Who(Enum):
    """The kinds of callers, by the credential they show."""

    ANYONE = "anyone"
    """No credential: probes and documents that say nothing of any tenant."""
    TOKEN_HOLDER = "token-holder"  # noqa: S105 - a kind of caller, not a password
    """A bootstrap token in the body, checked by the service that spends it."""
    AGENT = "agent"
    """A cluster's assertion, signed with its certificate's key."""
    MEMBER = "member"
    """A person or service of the tenant with one of the rule's roles."""
    PLATFORM = "platform"
    """A person or service that runs the platform; nobody inside of any tenant by that."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call one Function; any one of the roles is enough, where there are any."""

    who: Who
    roles: tuple[Role, ...] = ()

    def allows(self, held: frozenset[Role]) -> bool:
        """Whether someone who holds these roles may; a role includes lesser ones."""
        return any(roles.allows(held, needed) for needed in self.roles)


ANYONE = Rule(Who.ANYONE)
TOKEN_HOLDER = Rule(Who.TOKEN_HOLDER)
AGENT = Rule(Who.AGENT)
READER = Rule(Who.MEMBER, (Role.READER,))
RESPONDER = Rule(Who.MEMBER, (Role.RESPONDER, Role.OPERATOR))
"""The operator sees what the responder is paged for; the responder changes nothing by that."""
ON_CALL = Rule(Who.MEMBER, (Role.RESPONDER,))
"""The responder or an admin: whoever wants a rollout out does not lift the freeze off it alone."""
OPERATOR = Rule(Who.MEMBER, (Role.OPERATOR,))
ADMIN = Rule(Who.MEMBER, (Role.ADMIN,))
PLATFORM = Rule(Who.PLATFORM, (Role.PLATFORM_ADMIN,))

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "register": TOKEN_HOLDER,
        "desired_get": AGENT,
        "status_report": AGENT,
        "desired_publish": OPERATOR,
        "bootstrap_tokens_create": ADMIN,
        "bootstrap_tokens_list": ADMIN,
        "bootstrap_tokens_revoke": ADMIN,
        "enrolments_list": ADMIN,
        "enrolments_approve": ADMIN,
        "enrolments_reject": ADMIN,
        "agent_manifest": ADMIN,
        "clusters_list": READER,
        "clusters_get": READER,
        "clusters_patch": OPERATOR,
        "clusters_delete": OPERATOR,
        "clusters_inventory": READER,
        "clusters_extensions": READER,
        "clusters_events": READER,
        "clusters_revoke": ADMIN,
        "extensions_list": READER,
        "extensions_get": READER,
        "extensions_delete": OPERATOR,
        "extensions_revisions": READER,
        "extensions_clusters": READER,
        "extensions_rollback": OPERATOR,
        "revisions_get": READER,
        "revisions_quarantine": OPERATOR,
        "revisions_release": OPERATOR,
        "rollouts_list": READER,
        "rollouts_get": READER,
        "rollouts_targets": READER,
        "rollouts_pause": OPERATOR,
        "rollouts_resume": OPERATOR,
        "rollouts_cancel": OPERATOR,
        "rollouts_approve": OPERATOR,
        "rollouts_retry": OPERATOR,
        "rollouts_override_freeze": ON_CALL,
        "artifact_policy_get": READER,
        "artifact_policy_put": ADMIN,
        "joining_policy_get": READER,
        "joining_policy_put": ADMIN,
        "freezes_list": READER,
        "freezes_put": OPERATOR,
        "freezes_delete": OPERATOR,
        "drift_list": READER,
        "drift_correct": OPERATOR,
        "drift_correct_many": OPERATOR,
        "drift_accept": OPERATOR,
        "events_list": READER,
        "events_export": READER,
        "tenants_list": PLATFORM,
        "tenants_create": PLATFORM,
        "tenants_get": PLATFORM,
        "tenants_patch": PLATFORM,
        "tenants_suspend": PLATFORM,
        "tenants_resume": PLATFORM,
        "tenants_delete": PLATFORM,
        "tenants_export": PLATFORM,
        "tenants_import": PLATFORM,
        "tenants_import_records": PLATFORM,
        "tenants_import_finish": PLATFORM,
        "ca_status": PLATFORM,
        "ca_rotate": PLATFORM,
        "ca_abort": PLATFORM,
        "health_summary": RESPONDER,
        "health_live": ANYONE,
        "health_ready": ANYONE,
        "metrics": ANYONE,
        "openapi": ANYONE,
        "docs": ANYONE,
    }
)


def rule_for(function: str) -> Rule:
    """The rule of a Function. Raises LookupError where the table has none."""
    try:
        return RULES[function]
    except KeyError:
        raise LookupError(f"{function} has no rule in functions/access.py") from None
