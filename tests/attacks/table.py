"""The whole table, in the order of the documentation."""

from __future__ import annotations

from tests.attacks import (
    addresses,
    agent_calls,
    agent_rights,
    audit_trail,
    bodies,
    canaries,
    database,
    extensions,
    log_lines,
    mutated,
    people,
    redis_hints,
    register,
    stream,
    supply_chain,
)
from tests.attacks.attack import ROWS, Attack

MODULES = (
    register,
    stream,
    agent_calls,
    people,
    bodies,
    mutated,
    extensions,
    addresses,
    canaries,
    log_lines,
    database,
    redis_hints,
    audit_trail,
    agent_rights,
    supply_chain,
)
"""In the order in which a request meets what they attack."""
_PLACES = [module.__name__ for module in MODULES]
TABLE: tuple[Attack, ...] = tuple(
    sorted(ROWS, key=lambda attack: _PLACES.index(attack.play.__module__))
)
"""Every row."""
