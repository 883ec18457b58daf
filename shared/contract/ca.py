"""The certification authority: its generations, and how far a rotation has come.

A generation is one issuing CA with the root above it. It is prepared (everyone is told to trust
it), issues (new certificates are its), retires (trusted for those that live), and is removed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints, model_validator

from shared.contract.base import Name, Reason, Text, Timestamp, WireModel

_BLOCK = re.compile(
    r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", re.ASCII
)
CHAIN_CHARACTERS = 12 * 1024


class CaState(StrEnum):
    """Where a generation of the CA stands."""

    PREPARED = "Prepared"
    """Relays and agents are told to trust it; it has issued nothing."""
    ISSUING = "Issuing"
    """New certificates are its."""
    RETIRING = "Retiring"
    """It issues nothing new; certificates of it that live are good."""
    REMOVED = "Removed"
    """Nobody trusts it any more. One that was aborted has never issued."""


class CaGeneration(WireModel):
    """One issuing CA."""

    id: str
    """First 16 hexadecimal digits of the SHA-256 of the issuing certificate."""
    state: CaState
    not_before: Timestamp
    not_after: Timestamp
    root_not_after: Timestamp
    pin: str
    """`sha256:<hex>` of the root's SubjectPublicKeyInfo (RFC 7469)."""
    serves: bool
    """Whether the relays' own certificates are of it, or were."""
    live_certificates: int
    """Clusters' certificates of it that are good now."""
    prepared_at: Timestamp
    issuing_at: Timestamp | None = None
    retiring_at: Timestamp | None = None
    removed_at: Timestamp | None = None
    overridden_by: str | None = None
    """Who let it go on without the clusters that are offline."""


class CaRelay(WireModel):
    """One relay process, as it last said."""

    name: str
    trusts: tuple[str, ...]
    """Ids of the generations that it takes from clients and can sign with."""
    serves: str
    """Id of the generation that its own certificate is of."""
    seen_at: Timestamp


class CaStraggler(WireModel):
    """A cluster with a good certificate that has not acknowledged the bundle."""

    tenant: Name
    cluster_id: UUID
    connected: bool
    last_heartbeat: Timestamp | None = None


class CaStatus(WireModel):
    """The answer of GET /ca."""

    generations: tuple[CaGeneration, ...]
    """Newest first; removed ones for a year."""
    bundle_digest: str
    """Of the roots that are trusted now."""
    acknowledged: int
    """Clusters with a good certificate that are known to trust the newest of these roots."""
    pending: int
    """Clusters with a good certificate that are not."""
    stragglers: tuple[CaStraggler, ...] = ()
    """Fifty of the latter, connected ones first."""
    relays: tuple[CaRelay, ...] = ()
    """Those that said so within the last twenty seconds."""
    waiting_for: tuple[str, ...] = ()
    """What the next step waits for, a sentence each; empty when no rotation is under way."""


class CaRotateRequest(WireModel):
    """The body of POST /ca/rotate; may be empty."""

    chain: Annotated[Text, StringConstraints(max_length=CHAIN_CHARACTERS)] | None = None
    """PEM of the new issuing certificate, then of its root. Left out, the CA's folder or the
    settings are looked through for a generation that is not known yet."""
    key_id: Annotated[Text, StringConstraints(max_length=256)] | None = None
    """URL of the key's version in Key Vault that `chain` certifies."""
    override_offline: bool = False
    """Go on without the clusters that are offline; needs a reason."""
    reason: Reason | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> CaRotateRequest:
        if (self.chain is None) != (self.key_id is None):
            raise ValueError("chain and keyId go together")
        if self.override_offline and self.reason is None:
            raise ValueError("overrideOffline needs a reason")
        return self


class CaAbortRequest(WireModel):
    """The body of POST /ca/abort."""

    generation: Annotated[Text, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = None
    """The generation that is meant; left out, the one that is prepared."""
    reason: Reason


def bundle_digest(pem: str) -> str:
    """`sha256:<hex>` of a set of certificates, whatever their order and the PEM's line breaks.

    What an agent acknowledges. Text that is no certificate counts as nothing.
    """
    found = set()
    for body in _BLOCK.findall(pem):
        try:
            der = base64.b64decode("".join(body.split()), validate=True)
        except ValueError:
            continue
        found.add(hashlib.sha256(der).hexdigest())
    return f"sha256:{hashlib.sha256(chr(10).join(sorted(found)).encode()).hexdigest()}"
