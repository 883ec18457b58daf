"""Pulls a single-layer artifact from an OCI registry, by digest, without credentials.

Source: the OCI distribution and image specifications 1.1. Image indexes, artifacts of several
layers and other compressions are refused by name.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, ValidationError

from agent.drivers.download import Download, Downloader, DownloadFailed
from shared.contract.base import Digest, WireModel
from shared.contract.canonical import digest_bytes

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MANIFEST_LIMIT = 4 * 1024 * 1024
_TOKEN_LIMIT = 64 * 1024
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class _Layer(WireModel, extra="ignore"):
    media_type: str
    digest: Digest
    size: Annotated[int, Field(ge=0)]


class _Manifest(WireModel, extra="ignore"):
    media_type: str = _MANIFEST
    layers: tuple[_Layer, ...]


class _Token(WireModel, extra="ignore"):
    token: str = ""
    access_token: Annotated[str, Field(alias="access_token")] = ""


class Registry:
    """The artifacts of any registry that shows them to everyone."""

    def __init__(self, downloader: Downloader) -> None:
        self._downloader = downloader

    async def pull(self, reference: str, *, limit: int) -> bytes:
        """The one layer of `oci://host/repository@sha256:…`, its digest checked.

        Raises DownloadFailed.
        """
        name, _, digest = reference.removeprefix("oci://").partition("@")
        host, _, repository = name.partition("/")
        base = f"https://{host}/v2/{repository}"
        headers = {"Accept": _MANIFEST}
        url = f"{base}/manifests/{digest}"
        answer = await self._downloader.get(url, limit=_MANIFEST_LIMIT, headers=headers)
        if answer.status == 401:
            headers["Authorization"] = await self._authorization(answer, repository)
            answer = await self._downloader.get(url, limit=_MANIFEST_LIMIT, headers=headers)
        manifest = _checked(answer, url, digest)
        layer = _only_layer(manifest, reference)
        if layer.size > limit:
            raise DownloadFailed(f"{reference}: larger than {limit} bytes", final=True)
        url = f"{base}/blobs/{layer.digest}"
        answer = await self._downloader.get(url, limit=limit, headers=headers)
        return _checked(answer, url, layer.digest)

    async def _authorization(self, answer: Download, repository: str) -> str:
        """A token for whoever asks, from where the registry says (its distribution token API)."""
        challenge = answer.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        told = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in told:
            raise DownloadFailed("the registry wants credentials, which are not supported")
        asked = {"service": told.get("service", ""), "scope": f"repository:{repository}:pull"}
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in asked.items() if value)
        found = await self._downloader.get(f"{told['realm']}?{query}", limit=_TOKEN_LIMIT)
        try:
            token = _Token.model_validate_json(found.content)
        except ValidationError as error:
            raise DownloadFailed("the registry gives no token for its public artifacts") from error
        return f"Bearer {token.token or token.access_token}"


def _checked(answer: Download, url: str, digest: str) -> bytes:
    if answer.status != 200:
        final = answer.status in (401, 403, 404)
        raise DownloadFailed(f"{url}: the answer is {answer.status}", final=final)
    found = digest_bytes(answer.content)
    if found != digest:
        raise DownloadFailed(f"{url}: the content's digest is {found}", final=True)
    return answer.content


def _only_layer(content: bytes, reference: str) -> _Layer:
    try:
        manifest = _Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DownloadFailed(f"{reference} is no OCI image manifest", final=True) from error
    layers = manifest.layers
    if manifest.media_type != _MANIFEST or len(layers) != 1:
        raise DownloadFailed(f"{reference} is not an artifact of one layer", final=True)
    if not layers[0].media_type.endswith("tar+gzip"):
        raise DownloadFailed(f"{reference}: its layer is no gzipped tar archive", final=True)
    return layers[0]
