"""What of a plan may be carried out with the tokens at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.planner.decisions import Decision, Release
from shared.planner.limits import limits
from shared.planner.view import RolloutView


def wanted(decisions: Sequence[Decision]) -> int:
    """How many targets the decisions would release."""
    return sum(len(d.clusters) for d in decisions if isinstance(d, Release))


def ahead(view: RolloutView, decisions: Sequence[Decision], batch: int) -> int:
    """How many targets the next look can release, as far as the counters tell; `batch` at most.

    Zero unless this look had a full batch of candidates and releases it: then tokens for the next
    batch can be taken at once, and a look that only finds out what is wanted is saved.
    """
    released = wanted(decisions)
    if not released or len(view.candidates) < batch:
        return 0
    free = 0
    for stage in view.stages:
        if stage.opened_at is not None:
            places = limits(view.kind, view.strategy, view.stages, stage.index).concurrent
            free += min(stage.to_apply, max(0, places - stage.in_flight))
    return max(0, min(batch, free - released))


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
