"""From what an operator declared to what one cluster gets: overrides flattened, then hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.contract.canonical import digest
from shared.contract.extension import ExtensionSpec, ResolvedSpec, merge_values


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolved spec, its canonical form and the digest of that."""

    spec: ResolvedSpec
    canonical: dict[str, Any]
    digest: str


class Resolver:
    """Resolves one spec for many clusters; those that the same overrides match share the result.

    A fleet of thousands has a handful of combinations, so the merging and hashing is done a
    handful of times.
    """

    def __init__(self, spec: ExtensionSpec) -> None:
        """Resolve for the clusters of `spec`."""
        self._spec = spec
        self._known: dict[tuple[bool, ...], Resolved] = {}

    def resolve(self, labels: Mapping[str, str]) -> Resolved:
        """What a cluster with these labels gets: matching overrides in order, later wins."""
        own = dict(labels)
        matching = tuple(override.match.matches(own) for override in self._spec.overrides)
        if matching not in self._known:
            self._known[matching] = self._flatten(matching)
        return self._known[matching]

    def _flatten(self, matching: tuple[bool, ...]) -> Resolved:
        values = dict(self._spec.values)
        for override, matches in zip(self._spec.overrides, matching, strict=True):
            if matches:
                values = merge_values(values, override.values)
        # By the model's own fields: one that is added to it reaches the clusters, too.
        declared = {name: getattr(self._spec, name) for name in ResolvedSpec.model_fields}
        spec = ResolvedSpec(**{**declared, "values": values})
        canonical = spec.to_canonical()
        return Resolved(spec, canonical, digest(canonical))


def resolve(spec: ExtensionSpec, labels: Mapping[str, str]) -> Resolved:
    """What one cluster with these labels gets."""
    return Resolver(spec).resolve(labels)
