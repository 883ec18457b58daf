"""Signing keys and their rotation.

The newest key signs; the ones before stay published for as long as tokens signed with them may
live. Keys are kept in the state directory, so that tokens outlive a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeyParameters, RSAKey

KEY_BITS = 2048
ALGORITHM = "RS256"


@dataclass(frozen=True)
class SigningKey:
    """A key and when it began to sign."""

    since: datetime
    key: RSAKey


class SigningKeys:
    """The issuer's keys, oldest first."""

    def __init__(
        self, path: Path, *, token_lifetime: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._token_lifetime = token_lifetime
        self._clock = clock
        self._keys = self._read()
        if not self._keys:
            self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on, and forget keys whose tokens have all expired."""
        now = self._clock()
        # A key's last token was signed when its successor took over.
        successors = self._keys[1:]
        expired = sum(each.since + self._token_lifetime < now for each in successors)
        parameters: KeyParameters = {"use": "sig", "alg": ALGORITHM}
        key = RSAKey.generate_key(KEY_BITS, parameters, private=True, auto_kid=True)
        self._keys = [*self._keys[expired:], SigningKey(now, key)]
        self._write()

    def public(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517)."""
        return {"keys": [each.key.as_dict(private=False) for each in self._keys]}

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWT (RFC 7519) with these claims, signed by the newest key."""
        key = self._keys[-1].key
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}, claims, key)

    def _read(self) -> list[SigningKey]:
        if not self._path.exists():
            return []
        return [
            SigningKey(datetime.fromtimestamp(each["since"], UTC), RSAKey.import_key(each["key"]))
            for each in json.loads(self._path.read_text())
        ]

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        stored = [
            {"since": each.since.timestamp(), "key": each.key.as_dict(private=True)}
            for each in self._keys
        ]
        partial.write_text(json.dumps(stored))
        partial.replace(self._path)
