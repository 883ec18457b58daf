"""Bootstrap tokens: `abt_<tenant>.<token id>.<secret>`; the database holds only a SHA-256.

The secret has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess. The
tenant and the id in the text only say where to look; the secret decides.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

SECRET_BYTES = 32

_TOKEN = re.compile(
    r"abt_(?P<tenant>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
    r"\.(?P<id>[0-9a-f]{32})\.(?P<secret>[A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True, slots=True)
class BootstrapSecret:
    """A token, as its owner holds it."""

    tenant: str
    token_id: UUID
    secret: str

    @property
    def text(self) -> str:
        """The token itself."""
        return f"abt_{self.tenant}.{self.token_id.hex}.{self.secret}"

    @property
    def sha256(self) -> bytes:
        """What is stored."""
        return hashlib.sha256(self.secret.encode()).digest()

    def matches(self, stored: bytes) -> bool:
        """Whether it is the token whose hash is stored; takes the same time either way."""
        return hmac.compare_digest(self.sha256, stored)

    def __repr__(self) -> str:
        return f"BootstrapSecret(tenant={self.tenant!r}, token_id={self.token_id!r})"


def make(tenant: str, token_id: UUID, random_bytes: bytes) -> BootstrapSecret:
    """A new token out of `SECRET_BYTES` random bytes. Raises ValueError for fewer or more."""
    if len(random_bytes) != SECRET_BYTES:
        raise ValueError(f"a token takes {SECRET_BYTES} random bytes")
    secret = base64.urlsafe_b64encode(random_bytes).rstrip(b"=").decode()
    return BootstrapSecret(tenant, token_id, secret)


def parse(text: str) -> BootstrapSecret | None:
    """Read a token; None for any text that cannot be one."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    return BootstrapSecret(match["tenant"], UUID(match["id"]), match["secret"])
