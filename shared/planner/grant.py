"""What of a plan may be carried out with the tokens at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.planner.decisions import Decision, Release


def wanted(decisions: Sequence[Decision]) -> int:
    """How many targets the decisions would release."""
    return sum(len(d.clusters) for d in decisions if isinstance(d, Release))


def granted(decisions: Sequence[Decision], tokens: int) -> tuple[Decision, ...]:
    """The decisions with releases cut to `tokens` targets, the first ones first.

    The tokens were taken for an earlier look at the rollout. Only what this look wants is
    released: tokens that are left over are lost, which can only slow a rollout down.
    """
    kept: list[Decision] = []
    for decision in decisions:
        if isinstance(decision, Release):
            clusters = decision.clusters[:tokens]
            tokens -= len(clusters)
            if clusters:
                kept.append(replace(decision, clusters=clusters))
        else:
            kept.append(decision)
    return tuple(kept)
