"""Who exists: the application, users and clients of the seed file, and their passwords and secrets.

Names, ids and roles are in the seed file; passwords and client secrets are random, made once per
state directory, in a file that only its owner can read.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

SEED = Path(__file__).with_name("seed.json")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Application(_Frozen):
    """The API that tokens are for."""

    id: str
    """Its client id: the `aud` of version 2.0 tokens."""
    uri: str
    """What scopes are asked for under, beside the id."""
    scope: str
    """The one delegated permission, which comes back in `scp`."""


class User(_Frozen):
    """A person in one tenant."""

    name: str
    tenant: str
    roles: tuple[str, ...]
    oid: str


class Client(_Frozen):
    """A program: a public one signs people in, a confidential one acts for itself."""

    id: str
    name: str
    tenant: str | None
    """Where it may act for itself; a public one serves every tenant."""
    roles: tuple[str, ...]
    confidential: bool
    oid: str


class Seed(_Frozen):
    """The seed file."""

    application: Application
    tenants: Mapping[str, str]
    """Tenant's name to directory id (`tid`)."""
    users: tuple[User, ...]
    clients: tuple[Client, ...]


def read_seed(path: Path = SEED) -> Seed:
    """The seed file: who exists, without any secret."""
    return Seed.model_validate_json(path.read_text())


class Directory:
    """Looks up users and clients, and checks what they prove themselves with."""

    def __init__(self, seed: Seed, credentials: Mapping[str, str]) -> None:
        self.seed = seed
        self._credentials = credentials
        self._users = {user.name: user for user in seed.users}
        self._clients = {client.id: client for client in seed.clients}

    @classmethod
    def open(cls, credentials_path: Path, seed_path: Path = SEED) -> Directory:
        """Read the seed, and the credentials, which are made where they are missing."""
        seed = read_seed(seed_path)
        known: dict[str, str] = {}
        if credentials_path.exists():
            known = json.loads(credentials_path.read_text())
        confidential = [client.name for client in seed.clients if client.confidential]
        names = [user.name for user in seed.users] + confidential
        missing = [name for name in names if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(24) for name in missing}
            credentials_path.parent.mkdir(parents=True, exist_ok=True)
            credentials_path.touch(mode=0o600)
            credentials_path.write_text(json.dumps(known, indent=1))
        return cls(seed, known)

    def has_directory(self, tid: str) -> bool:
        """Whether a directory of this id exists."""
        return tid in self.seed.tenants.values()

    def tid_of(self, tenant: str) -> str:
        """The directory id of a tenant."""
        return self.seed.tenants[tenant]

    def client(self, client_id: str) -> Client | None:
        """The client of this id."""
        return self._clients.get(client_id)

    def user_with_password(self, tid: str, name: str, password: str) -> User | None:
        """The user of this directory, when the password is right."""
        user = self._users.get(name)
        if not self._proves(name, password) or user is None or self.tid_of(user.tenant) != tid:
            return None
        return user

    def client_with_secret(self, tid: str, client_id: str, secret: str) -> Client | None:
        """The confidential client that may act in this directory, when its secret is right."""
        client = self._clients.get(client_id)
        if client is None or client.tenant is None or self.tid_of(client.tenant) != tid:
            return None
        return client if self._proves(client.name, secret) else None

    def credential(self, name: str) -> str:
        """The password of a user, or the secret of a confidential client."""
        return self._credentials[name]

    def _proves(self, name: str, given: str) -> bool:
        expected = self._credentials.get(name, "")
        return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
