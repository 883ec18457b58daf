"""What the sources of an extension have in common: credentials, signatures, paths inside."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import StringConstraints

from shared.contract.base import Name, Text, WireModel

_PUBLIC_KEY = (
    r"^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=]{1,76}\r?\n)+-----END PUBLIC KEY-----\s*$"
)

CosignKey = Annotated[Text, StringConstraints(pattern=_PUBLIC_KEY, max_length=2048)]
"""PEM of a public key: ECDSA P-256 as cosign makes it, RSA, or Ed25519."""


class Verification(WireModel):
    """What has to vouch for an OCI artifact before anything of it is opened."""

    cosign_key: CosignKey
    """An artifact without a signature of this key beside it is ArtifactFailed."""


class CredentialsReference(WireModel):
    """A Secret of the cluster with credentials for where a source is fetched from.

    It has to be labelled for that use and to name the hosts that it may be sent to; its content
    never leaves the cluster but to those.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    namespace: Name | None = None
    """The extension's own when absent; the only other one allowed is the agent's."""


def inside(path: str) -> str:
    """The path, if it stays inside the root that it is relative to; ValueError otherwise."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\x00" in path or not path:
        raise ValueError(f"{path!r} leaves the overlay's root: use a relative path without '..'")
    return path
