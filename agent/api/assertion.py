"""Assertions: a short-lived JWT per request, signed with the certificate's key (RFC 7523).

One that leaks is worthless after minutes, and is good for one call only (`jti`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import jwt

from agent.credentials.identity import Identity

LIFETIME = timedelta(minutes=2)
"""Well within AGENT_ASSERTION_LIFETIME_MAX: the two clocks may differ by a minute."""


def make_assertion(identity: Identity, now: datetime, token_id: UUID) -> str:
    """The bearer token of one request at `now`."""
    subject = str(identity.registration.cluster_id)
    claims = {
        "iss": subject,
        "sub": subject,
        "aud": identity.registration.audience,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFETIME).timestamp()),
        "jti": str(token_id),
    }
    return jwt.encode(
        claims, identity.key, algorithm="ES256", headers={"x5t#S256": identity.thumbprint}
    )
