"""The desired document: everything one cluster should run, complete and hashed.

An agent acts on a whole document or on nothing. An extension that is not listed is left alone:
only `state: absent` removes one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, JsonValue, model_validator

from shared.contract.base import Digest, Name, Timestamp, WireModel
from shared.contract.canonical import digest
from shared.contract.extension import DriftTarget, ResolvedSpec
from shared.contract.limits import EXTENSIONS_PER_CLUSTER
from shared.contract.signature import DocumentSignature


class DesiredState(StrEnum):
    """Whether an extension should be on the cluster."""

    PRESENT = "present"
    ABSENT = "absent"
    """A tombstone: remove it."""


class AcceptedDrift(WireModel):
    """A difference that an operator declared to be right, for a while."""

    target: DriftTarget
    path: str
    """RFC 6901 pointer."""
    observed: JsonValue = None
    expires_at: Timestamp


class DesiredExtension(WireModel):
    """One extension on one cluster."""

    name: Name
    state: DesiredState
    revision: Annotated[int, Field(ge=1)]
    spec_digest: Digest
    """Of `spec`'s canonical JSON; for a tombstone the digest of the last spec released here."""
    generation: Annotated[int, Field(ge=1)]
    """Grows with each release to this cluster; echoed as `observedGeneration`."""
    rollout_id: UUID
    spec: ResolvedSpec | None = None
    correction: Annotated[int, Field(ge=0)] = 0
    """Grows when an operator asks for one correction of drift."""
    accepted_drift: tuple[AcceptedDrift, ...] = ()
    traceparent: str | None = None
    """W3C Trace Context of the release."""

    @model_validator(mode="after")
    def _spec_with_presence(self) -> Self:
        if (self.state is DesiredState.PRESENT) != (self.spec is not None):
            raise ValueError("spec belongs to state present, and only to it")
        if (
            self.spec is not None
            and (found := digest(self.spec.to_canonical())) != self.spec_digest
        ):
            raise ValueError(
                f"extension {self.name}: specDigest is {self.spec_digest}, the spec's is {found}"
            )
        return self


class DesiredDocument(WireModel):
    """The answer of GET /desired; its ETag is `digest`."""

    api_version: Literal["arcbridge.io/v1"] = "arcbridge.io/v1"
    kind: Literal["DesiredDocument"] = "DesiredDocument"
    tenant: Name
    cluster_id: UUID
    extensions: Annotated[tuple[DesiredExtension, ...], Field(max_length=EXTENSIONS_PER_CLUSTER)]
    digest: Digest
    """Of the document without this field and the signature: an incomplete document cannot be
    mistaken for one."""
    signature: DocumentSignature | None = None
    """Agents act on no document without it."""

    @classmethod
    def build(cls, tenant: str, cluster_id: UUID, extensions: tuple[DesiredExtension, ...]) -> Self:
        """Make a document and its digest; extensions are put in order of name."""
        ordered = tuple(sorted(extensions, key=lambda e: e.name))
        return cls(
            tenant=tenant,
            cluster_id=cluster_id,
            extensions=ordered,
            digest=document_digest(tenant, cluster_id, ordered),
        )

    @model_validator(mode="after")
    def _digest_fits(self) -> Self:
        if document_digest(self.tenant, self.cluster_id, self.extensions) != self.digest:
            raise ValueError("the document's digest does not fit its content: it is not complete")
        return self


def document_digest(tenant: str, cluster_id: UUID, extensions: tuple[DesiredExtension, ...]) -> str:
    """The digest over a document's content.

    Each spec enters through its own digest, so the cost does not grow with the charts' size;
    `traceparent` stays outside, because it is no part of what is desired.
    """
    return digest(
        {
            "tenant": tenant,
            "clusterId": str(cluster_id),
            "extensions": [_identity(extension) for extension in extensions],
        }
    )


def _identity(extension: DesiredExtension) -> JsonValue:
    wire: dict[str, JsonValue] = extension.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"spec", "traceparent"}
    )
    return wire
