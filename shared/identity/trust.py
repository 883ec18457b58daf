"""Who is trusted now, and which CA signs what: all generations of the CA, seen at one moment.

Pure. Clusters' certificates are issued by the generation that issues. The relays' own are issued by
the newest one that *serves*: which every agent that can still connect is known to trust. So between
the two moments an agent that was away meets a relay it knows, and gets the new roots from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from shared.contract.ca import CaState, bundle_digest
from shared.identity.certificates import certificate_pem
from shared.identity.issuer import Authority

ID_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Generation:
    """One issuing CA, and where it stands."""

    id: str
    authority: Authority
    state: CaState
    key_id: str | None
    """Of the key in Key Vault; None for a file."""
    serves_since: datetime | None
    """Since when relays may present certificates of it."""


@dataclass(frozen=True)
class Trust:
    """The generations that are not removed, oldest first; one of them issues."""

    generations: tuple[Generation, ...]

    @cached_property
    def issuing(self) -> Generation:
        """The one that new certificates are of."""
        return next(g for g in self.generations if g.state is CaState.ISSUING)

    @cached_property
    def authorities(self) -> tuple[Authority, ...]:
        """What a client's certificate may be issued by."""
        return tuple(generation.authority for generation in self.generations)

    @cached_property
    def bundle(self) -> str:
        """PEM of the roots, each once; the issuing generation's come first."""
        ordered = (self.issuing, *self.generations)
        roots = [root for generation in ordered for root in generation.authority.roots]
        return "".join(dict.fromkeys(certificate_pem(root) for root in roots))

    @cached_property
    def digest(self) -> str:
        """Of the bundle: what agents acknowledge."""
        return bundle_digest(self.bundle)

    def serving(self, now: datetime) -> Generation:
        """The one that relays' own certificates are of."""
        able = [
            (generation.serves_since, index, generation)
            for index, generation in enumerate(self.generations)
            if generation.serves_since is not None
            and now < generation.authority.issuing.not_valid_after_utc
        ]
        return max(able)[2] if able else self.issuing

    def find(self, generation_id: str | None) -> Generation | None:
        """A generation by its id; None for one that is not trusted."""
        return next((g for g in self.generations if g.id == generation_id), None)


def generation_id(issuing: x509.Certificate) -> str:
    """The name of a generation: the start of its issuing certificate's fingerprint."""
    return issuing.fingerprint(hashes.SHA256()).hex()[:ID_LENGTH]


def authority_of(chain_pem: str) -> Authority:
    """An issuing certificate and its roots, out of one PEM. Raises ValueError for anything else."""
    issuing, *roots = x509.load_pem_x509_certificates(chain_pem.encode())
    if not roots:
        raise ValueError("the chain needs the issuing certificate and at least one root")
    return Authority(issuing=issuing, roots=tuple(roots))


def chain_of(authority: Authority) -> str:
    """The PEM that `authority_of` reads."""
    return certificate_pem(authority.issuing) + authority.bundle
