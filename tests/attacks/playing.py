"""Plays rows: at once where they leave each other alone, then the rest one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.attacks.attack import Attack, Outcome, played
from tests.attacks.target import Target

AT_ONCE = 8


async def play_all(
    attacks: Sequence[Attack], target: Target, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """What came of each, in the order of the table; `tell` hears of each as it ends."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(attack: Attack) -> Outcome:
        async with free:
            outcome = await played(attack, target)
        tell(outcome)
        return outcome

    together = await asyncio.gather(*(one(each) for each in attacks if not each.alone))
    alone = [await one(each) for each in attacks if each.alone]
    order = {each: place for place, each in enumerate(attacks)}
    return sorted([*together, *alone], key=lambda outcome: order[outcome.attack])
