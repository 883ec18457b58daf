"""Where a tenant's extensions may come from: an allowlist, pinning by digest, signatures. Pure.

Checked when an extension is published. A policy that is narrowed later stops the next publish, not
what runs: a rollback has to get through.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, StringConstraints

from shared.contract.artifact import CosignKey
from shared.contract.base import Reason, Text, Timestamp, WireModel
from shared.contract.helm_source import HelmSource
from shared.contract.kustomize_source import KustomizeSource
from shared.contract.source import Source

_PATTERN = (
    r"^(https|oci|ssh)://(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?(/[^\s?#@%*]*)?$"
)
SourcePattern = Annotated[Text, StringConstraints(pattern=_PATTERN, max_length=512)]
"""`https://charts.example.org/team`, `oci://*.azurecr.io`: a scheme, a host or every host below
one, and the beginning of a path, by whole segments."""
_PORTS = {"https": 443, "oci": 443, "ssh": 22}
_DOTS = frozenset({".", ".."})


class ArtifactPolicySpec(WireModel):
    """The body of PUT /artifact-policy. The default allows everything that a document may say."""

    sources: Annotated[tuple[SourcePattern, ...], Field(max_length=100)] = ()
    """From where content may be fetched; none: from anywhere."""
    inline: bool = True
    """Whether a document may carry content itself."""
    require_digest: bool = False
    """Whether everything that is fetched has to be pinned by digest or commit."""
    cosign_keys: Annotated[tuple[CosignKey, ...], Field(max_length=8)] = ()
    """With any, everything that is fetched has to be an OCI artifact whose `verify.cosignKey` is
    one of these; the agents check the signature."""
    reason: Reason | None = None

    def refusal(self, source: Source) -> str | None:
        """Why nothing of this source may be published, and what to do; None where it may."""
        where = location(source)
        if where is None:
            return None if self.inline else _INLINE
        if self.sources and not any(_covers(pattern, where) for pattern in self.sources):
            return f"{where} is not among the sources that the artifact policy allows"
        if self.require_digest and not _is_pinned(source):
            return f"the artifact policy wants a digest beside {where}"
        if self.cosign_keys and _verified_by(source) not in self.cosign_keys:
            return (
                f"the artifact policy wants {where} verified by one of its keys: take an OCI "
                "artifact and name the key in verify.cosignKey"
            )
        return None


class ArtifactPolicy(ArtifactPolicySpec):
    """The policy as it is stored."""

    updated_by: str | None = None
    updated_at: Timestamp | None = None
    etag: str


_INLINE = "the artifact policy wants content fetched from an allowed source, not in the document"


def location(source: Source) -> str | None:
    """Where content is fetched from, in full; None where the document carries it."""
    match source:
        case Source(helm=HelmSource(repo=str() as repo) as helm):
            return f"{repo.rstrip('/')}/{helm.chart}"
        case Source(kustomize=KustomizeSource(archive=archive)) if archive is not None:
            return archive.url
        case Source(kustomize=KustomizeSource(oci=str() as reference)):
            return reference.partition("@")[0]
        case Source(flux=flux) if flux is not None:
            return flux.url
    return source.origin


def _is_pinned(source: Source) -> bool:
    """Overlays and Flux's sources always are: the contract wants their digest or commit."""
    return source.helm is None or source.helm.digest is not None


def _verified_by(source: Source) -> str | None:
    """The key that the agent will check the artifact with."""
    for fetched in (source.helm, source.kustomize):
        if fetched is not None and fetched.verify is not None:
            return fetched.verify.cosign_key
    return None


def _covers(pattern: str, where: str) -> bool:
    """Whether an address lies below a pattern. What could mean another place lies below none."""
    allowed, asked = urlsplit(pattern), urlsplit(where)
    if asked.scheme != allowed.scheme or _port(asked) != _port(allowed):
        return False
    host, wanted = (asked.hostname or "").rstrip("."), allowed.hostname or ""
    if wanted.startswith("*."):
        if not host.endswith(wanted[1:]):
            return False
    elif host != wanted:
        return False
    segments, beginning = _segments(asked.path), _segments(allowed.path)
    return not _DOTS & {*segments} and segments[: len(beginning)] == beginning


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _segments(path: str) -> list[str]:
    """A path's parts as a server would read them."""
    return [part for part in re.split(r"[/\\]", unquote(path)) if part]
