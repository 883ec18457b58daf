"""What the roles of a tenant include.

Reader < responder, reader < operator, both < admin. A platform admin manages tenants and is, by
that alone, nobody inside of one: it reads a tenant's data only by suspending and exporting it,
which the tenant's people notice and which stands in their audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from shared.contract.states import Role

INCLUDES: Mapping[Role, frozenset[Role]] = MappingProxyType(
    {
        Role.READER: frozenset({Role.READER}),
        Role.RESPONDER: frozenset({Role.READER, Role.RESPONDER}),
        Role.OPERATOR: frozenset({Role.READER, Role.OPERATOR}),
        Role.ADMIN: frozenset({Role.READER, Role.RESPONDER, Role.OPERATOR, Role.ADMIN}),
        Role.PLATFORM_ADMIN: frozenset({Role.PLATFORM_ADMIN}),
    }
)
"""Each role with all that it may act as."""


def allows(held: Iterable[Role], needed: Role) -> bool:
    """Whether any of the held roles includes the needed one."""
    return any(needed in INCLUDES[role] for role in held)


def named(
    names: Iterable[object], groups: Mapping[str, Role], group_ids: Iterable[object]
) -> frozenset[Role]:
    """The roles out of a token's app roles (`reader`, or `ArcBridge.Reader`) and its groups.

    Names that are no role of ours mean nothing; `groups` maps ids of directory groups to roles.
    """
    known = {role.value: role for role in Role}
    found = {known.get(_plain(name)) for name in names if isinstance(name, str)}
    found |= {groups.get(group) for group in group_ids if isinstance(group, str)}
    return frozenset(role for role in found if role is not None)


def _plain(name: str) -> str:
    """`ArcBridge.PlatformAdmin` and `platform-admin` are the same role."""
    short = name.removeprefix("ArcBridge.")
    return "platform-admin" if short == "PlatformAdmin" else short.lower()
