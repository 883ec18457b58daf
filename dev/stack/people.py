"""Access tokens of the issuer's seeded people, got by signing each of them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.issuer.client import sign_in
from dev.issuer.directory import Directory

USERS = {
    "reader": "reader@demo",
    "operator": "operator@demo",
    "responder": "responder@demo",
    "admin": "admin@demo",
    "platform": "platform@demo",
    "otherAdmin": "admin@other",
    "platformAdmin": "platform@demo",
}
"""Key in dev.json to the user's name."""
HOME_TENANT = "demo"


@dataclass(frozen=True)
class People:
    """Who exists, and how to sign in."""

    directory: Directory
    issuer_url: str

    @classmethod
    def open(cls, state: Path, issuer_url: str) -> People:
        """Read the passwords that the issuer keeps in `state`."""
        return cls(Directory.open(state / "credentials.json"), issuer_url)

    @property
    def issuer(self) -> str:
        """The issuer of tenant `demo`, for `arcbridge login --issuer`."""
        tid = self.directory.tid_of(HOME_TENANT)
        return f"{self.issuer_url}/{tid}/v2.0"

    async def token(self, key: str) -> str:
        """A fresh access token; `key` is one of USERS."""
        users = {user.name: user for user in self.directory.seed.users}
        return await sign_in(self.issuer_url, self.directory, users[USERS[key]])

    async def tokens(self) -> dict[str, str]:
        """One for each of USERS."""
        return {key: await self.token(key) for key in USERS}
