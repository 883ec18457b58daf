"""What one release of an extension asks for, and the document that asks for it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from shared.contract.canonical import digest
from shared.contract.desired import DesiredDocument, DesiredExtension, DesiredState
from shared.contract.extension import DriftPolicy, Readiness, ResolvedSpec
from shared.contract.secret_reference import SecretReference
from shared.contract.source import Source

CLUSTER_ID = uuid.UUID("01900000-0000-7000-8000-000000000001")


@dataclass(frozen=True)
class Release:
    """What one release of an extension asks for; `next` makes the one after it."""

    name: str
    namespace: str
    source: Source
    values: dict[str, Any] = field(default_factory=dict)
    generation: int = 1
    revision: int = 1
    depends_on: tuple[str, ...] = ()
    readiness: Readiness = field(default_factory=Readiness)
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    correction: int = 0
    service_account: str | None = None
    secrets: tuple[SecretReference, ...] = ()

    def next(self, **changes: Any) -> Release:
        """A newer generation with these changes."""
        bumped = {"generation": self.generation + 1, "revision": self.revision + 1}
        return replace(self, **{**bumped, **changes})

    @property
    def spec(self) -> ResolvedSpec:
        """The resolved spec."""
        return ResolvedSpec(
            source=self.source,
            namespace=self.namespace,
            values=self.values,
            secrets=self.secrets,
            service_account=self.service_account,
            depends_on=self.depends_on,
            readiness=self.readiness,
            drift=self.drift,
        )

    def present(self) -> DesiredExtension:
        """The extension of a document."""
        return self._desired(DesiredState.PRESENT, self.spec)

    def absent(self) -> DesiredExtension:
        """Its tombstone."""
        return self._desired(DesiredState.ABSENT, None)

    def _desired(self, state: DesiredState, spec: ResolvedSpec | None) -> DesiredExtension:
        return DesiredExtension(
            name=self.name,
            state=state,
            revision=self.revision,
            spec_digest=digest(self.spec.to_canonical()),
            generation=self.generation,
            rollout_id=uuid.UUID(int=self.generation),
            spec=spec,
            correction=self.correction,
        )


def document(*extensions: DesiredExtension) -> DesiredDocument:
    """A complete document."""
    return DesiredDocument.build("demo", CLUSTER_ID, extensions)
