"""The keys of the CA's generations: which there are, and how to sign with one.

Which generation may issue stands in the database; a keyring only knows keys. In development they
lie in one folder, in production they are versions of one key in Key Vault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity import devca
from shared.identity.file_issuer import FileIssuer, generations_in
from shared.identity.issuer import Authority, CertificateIssuer
from shared.identity.trust import generation_id

RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A generation that could be signed for."""

    authority: Authority
    key_id: str | None = None
    """Of its key in Key Vault; None for a file."""

    @property
    def id(self) -> str:
        """The generation's id."""
        return generation_id(self.authority.issuing)


class Keyring(Protocol):
    """Where the keys are."""

    def offers(self) -> tuple[Offer, ...]:
        """What this process knows by itself; the first is what a control plane starts with."""
        ...

    def make(self) -> Offer | None:
        """A new generation, where keys are made here; else None."""
        ...

    def issuer(self, offer: Offer) -> CertificateIssuer:
        """Signs as this generation. Raises ArcBridgeError Unavailable without its key,
        InvalidRequest for a key that is not of this keyring."""
        ...


class ClosableIssuer(CertificateIssuer, Protocol):
    """An issuer that holds connections."""

    def close(self) -> None:
        """Let go of them."""
        ...


class FileKeyring:
    """Keys in a folder; read anew each time, so that another one may be put there at any time."""

    def __init__(self, directory: Path, *, leaf_lifetime: timedelta) -> None:
        self._directory = directory
        self._lifetime = leaf_lifetime

    def offers(self) -> tuple[Offer, ...]:
        """The generations of the folder, oldest first."""
        return tuple(Offer(authority) for _, authority in generations_in(self._directory))

    def make(self) -> Offer | None:
        """One more in the folder; None where it cannot be written (a mounted Secret)."""
        if not os.access(self._directory, os.W_OK):
            return None
        known = {offer.id for offer in self.offers()}
        devca.make_next(self._directory)
        return next(offer for offer in self.offers() if offer.id not in known)

    def issuer(self, offer: Offer) -> CertificateIssuer:
        """Signs with the generation's key file."""
        if offer.key_id is not None:
            raise ArcBridgeError(
                ErrorCode.INVALID_REQUEST, "this CA's keys are files: none is in Key Vault"
            )
        for suffix, authority in generations_in(self._directory):
            if authority.issuing == offer.authority.issuing:
                return FileIssuer(self._directory, suffix=suffix, leaf_lifetime=self._lifetime)
        raise _no_key(offer)


@dataclass(slots=True)
class KeyVaultKeyring:
    """Versions of one key in Key Vault. Close it: it holds connections."""

    first: Offer
    """Of the settings; its key id says which vault and which key may sign at all."""
    connect: Callable[[str, Authority], ClosableIssuer]
    """Makes an issuer on a key's id."""
    _issuers: dict[str, ClosableIssuer] = field(default_factory=dict)

    def offers(self) -> tuple[Offer, ...]:
        """What the settings name."""
        return (self.first,)

    def make(self) -> Offer | None:
        """None: the root that certifies is offline."""
        return None

    def issuer(self, offer: Offer) -> CertificateIssuer:
        """Signs through Key Vault with the version that the offer names."""
        if offer.key_id is None or _key_of(offer.key_id) != _key_of(self.first.key_id or ""):
            raise ArcBridgeError(
                ErrorCode.INVALID_REQUEST,
                f"the key must be a version of {_key_of(self.first.key_id or '')}",
            )
        if offer.id not in self._issuers:
            self._issuers[offer.id] = self.connect(offer.key_id, offer.authority)
        return self._issuers[offer.id]

    def close(self) -> None:
        """Let go of every connection."""
        while self._issuers:
            self._issuers.popitem()[1].close()


def _key_of(key_id: str) -> str:
    """`https://<vault>/keys/<name>` of a version's URL; the version has no say in who may sign."""
    parts = urlsplit(key_id)
    path = parts.path.strip("/").split("/")
    return f"{parts.scheme}://{parts.netloc.lower()}/{'/'.join(path[:2])}"


def _no_key(offer: Offer) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.UNAVAILABLE,
        f"the key of CA generation {offer.id} is not here yet",
        retry_after=RETRY_SECONDS,
    )
