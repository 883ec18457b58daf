"""Mutants against the system that is attacked: with things in it that they may ask for."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.attacks.target import KEPT_ALIVE_SECONDS, REQUEST_SECONDS, Target
from tests.mutations.sending import AT_ONCE, Credentials, Findings, send_all

GROWTH = 0.10
"""The host may have so much more memory at the end than after the warm-up."""


async def play(
    target: Target,
    *,
    seed: int,
    count: int,
    tell: Callable[[Findings], None] = lambda _: None,
) -> Findings:
    """Send so many, and say what was answered."""
    known = await target.things("mutated")
    pid = target.stack.children["control-plane"].pid
    if pid is None:
        raise AssertionError("the control plane does not run")
    credentials = Credentials(
        target.bearer("admin"), target.bearer("platform"), await target.enrolled()
    )
    limits = httpx.Limits(max_connections=AT_ONCE, keepalive_expiry=KEPT_ALIVE_SECONDS)
    async with httpx.AsyncClient(
        base_url=target.url, timeout=REQUEST_SECONDS, limits=limits, trust_env=False
    ) as client:
        found = await send_all(
            client, credentials, known=known, pid=pid, seed=seed, count=count, tell=tell
        )
    # A mutant may have had every new cluster wait for an admin; later attacks join some.
    policy = {"approval": False, "reason": "the mutants are through"}
    (await target.ask("PUT", "joining-policy", json=policy)).raise_for_status()
    return found
