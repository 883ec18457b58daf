"""Pulls artifacts and charts from an OCI registry.

Source: the OCI distribution and image specifications 1.1, the distribution project's token
authentication, and helm's media types (HIP-0006). Image indexes, artifacts of several layers and
other compressions are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationError

from agent.drivers.cosign import (
    PAYLOAD_LIMIT,
    SignatureRefused,
    signature_layers,
    signature_tag,
    vouches,
)
from agent.drivers.credentials import HOSTS_ANNOTATION, Credentials, Login
from agent.drivers.download import Download, Downloader, DownloadFailed
from shared.contract.base import Digest, WireModel
from shared.contract.canonical import digest_bytes

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_DOCKER_HUB = {"docker.io": "registry-1.docker.io"}
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


@dataclass(frozen=True)
class _Place:
    """A repository of a registry, and who asks."""

    host: str
    """With its port, as a URL has it."""
    repository: str
    credentials: Credentials | None

    @property
    def base(self) -> str:
        return f"https://{self.host}/v2/{self.repository}"


class Registry:
    """Artifacts of any registry that shows them to everyone, or to the credentials given."""

    def __init__(self, downloader: Downloader) -> None:
        self._downloader = downloader

    async def pull(
        self,
        reference: str,
        *,
        limit: int,
        credentials: Credentials | None = None,
        cosign_key: str | None = None,
    ) -> bytes:
        """The one layer of `oci://host/repository@sha256:…`, its digest checked, and with
        `cosign_key` (PEM) that a signature of this key lies beside it.

        Raises DownloadFailed.
        """
        name, _, digest = reference.removeprefix("oci://").partition("@")
        place = _place(name, credentials)
        headers = {"Accept": _MANIFEST}
        manifest, headers = await self._manifest(place, digest, headers)
        layer = _only_layer(_checked(manifest, f"{place.base}/manifests/{digest}", digest), name)
        await self._check_signature(place, digest, headers, cosign_key)
        return await self._blob(place, layer, headers, limit)

    async def pull_chart(
        self,
        repo: str,
        chart: str,
        version: str,
        *,
        limit: int,
        credentials: Credentials | None,
        cosign_key: str | None = None,
    ) -> bytes:
        """The archive of `oci://host/…/chart` at a version; `cosign_key` as for `pull`.

        Raises DownloadFailed.
        """
        name = f"{repo.removeprefix('oci://').rstrip('/')}/{chart}"
        place = _place(name, credentials)
        # A tag has no '+', so helm writes '_' for it.
        tag = version.replace("+", "_")
        manifest, headers = await self._manifest(place, tag, {"Accept": _MANIFEST})
        url = f"{place.base}/manifests/{tag}"
        content = _content(manifest, url)
        layer = _chart_layer(content, f"{name}:{tag}")
        await self._check_signature(place, digest_bytes(content), headers, cosign_key)
        return await self._blob(place, layer, headers, limit)

    async def _check_signature(
        self, place: _Place, digest: str, headers: dict[str, str], key: str | None
    ) -> None:
        """Find a signature of the key over the manifest's digest, before anything is opened."""
        if key is None:
            return
        where = f"{place.host}/{place.repository}@{digest}"
        answer, headers = await self._manifest(place, signature_tag(digest), headers)
        if answer.status == 404:
            raise DownloadFailed(f"{where} has no cosign signature beside it", final=True)
        try:
            for layer in signature_layers(_content(answer, f"the signatures of {where}")):
                url = f"{place.base}/blobs/{layer.digest}"
                payload = await self._downloader.get(url, limit=PAYLOAD_LIMIT, headers=headers)
                content = _checked(payload, url, layer.digest)
                if vouches(layer, content, key=key, digest=digest):
                    return
        except SignatureRefused as error:
            raise DownloadFailed(f"{where}: {error}", final=True) from error
        raise DownloadFailed(f"no cosign signature of {where} is of the key given", final=True)

    async def _manifest(
        self, place: _Place, reference: str, headers: dict[str, str]
    ) -> tuple[Download, dict[str, str]]:
        """The answer, and the headers that it took to get it."""
        url = f"{place.base}/manifests/{reference}"
        answer = await self._downloader.get(url, limit=_MANIFEST_LIMIT, headers=headers)
        if answer.status == 401:
            headers = {**headers, "Authorization": await self._authorization(answer, place)}
            answer = await self._downloader.get(url, limit=_MANIFEST_LIMIT, headers=headers)
        return answer, headers

    async def _blob(
        self, place: _Place, layer: _Layer, headers: dict[str, str], limit: int
    ) -> bytes:
        if layer.size > limit:
            raise DownloadFailed(f"{place.base}: larger than {limit} bytes", final=True)
        url = f"{place.base}/blobs/{layer.digest}"
        return _checked(
            await self._downloader.get(url, limit=limit, headers=headers), url, layer.digest
        )

    async def _authorization(self, answer: Download, place: _Place) -> str:
        """What the registry asks for: the login itself, or a token from where it says."""
        challenge = answer.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        told = dict(_CHALLENGE.findall(rest))
        login = _login_of(place)
        if scheme.lower() == "basic" and login is not None:
            return login.authorization
        if scheme.lower() != "bearer" or "realm" not in told:
            raise DownloadFailed(
                f"{place.host} wants credentials: name a Secret that has them as credentialsRef",
                final=True,
            )
        return await self._token(place, told, login)

    async def _token(self, place: _Place, told: dict[str, str], login: Login | None) -> str:
        asked = {
            "service": told.get("service", ""),
            "scope": f"repository:{place.repository}:pull",
        }
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in asked.items() if value)
        headers = _for_realm(place, told["realm"], login)
        url = f"{told['realm']}?{query}"
        found = await self._downloader.get(url, limit=_TOKEN_LIMIT, headers=headers)
        if found.status in (401, 403):
            raise DownloadFailed(
                f"{place.host} refuses {_whose(place)}: the answer is {found.status}", final=True
            )
        try:
            token = _Token.model_validate_json(found.content)
        except ValidationError as error:
            raise DownloadFailed(f"{place.host} gives no token that can be read") from error
        return f"Bearer {token.token or token.access_token}"


def _place(name: str, credentials: Credentials | None) -> _Place:
    host, _, repository = name.partition("/")
    return _Place(_DOCKER_HUB.get(host.lower(), host.lower()), repository, credentials)


def _login_of(place: _Place) -> Login | None:
    if place.credentials is None:
        return None
    parts = urlsplit(f"https://{place.host}")
    return place.credentials.login(parts.hostname or "", parts.port or 443)


def _for_realm(place: _Place, realm: str, login: Login | None) -> dict[str, str]:
    """A registry may name any host as the one that gives tokens: only one that the Secret's owner
    has named, too, is told the login."""
    if login is None or place.credentials is None:
        return {}
    try:
        parts = urlsplit(realm)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError as error:
        raise DownloadFailed(f"{place.host} names no host that gives tokens", final=True) from error
    if not place.credentials.may_hear(host, port):
        raise DownloadFailed(
            f"{place.host} wants the login of the Secret {place.credentials.source} sent to "
            f"{host}: if that is right, add it to the Secret's annotation {HOSTS_ANNOTATION}",
            final=True,
        )
    return {"Authorization": login.authorization}


def _whose(place: _Place) -> str:
    return f"the login of the Secret {place.credentials.source}" if place.credentials else "us"


def _content(answer: Download, url: str) -> bytes:
    if answer.status != 200:
        final = answer.status in (401, 403, 404)
        raise DownloadFailed(f"{url}: the answer is {answer.status}", final=final)
    return answer.content


def _checked(answer: Download, url: str, digest: str) -> bytes:
    content = _content(answer, url)
    found = digest_bytes(content)
    if found != digest:
        raise DownloadFailed(f"{url}: the content's digest is {found}", final=True)
    return content


def _layers(content: bytes, reference: str) -> tuple[_Layer, ...]:
    try:
        manifest = _Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DownloadFailed(f"{reference} is no OCI image manifest", final=True) from error
    if manifest.media_type != _MANIFEST:
        raise DownloadFailed(f"{reference} is not an artifact of one layer", final=True)
    return manifest.layers


def _only_layer(content: bytes, reference: str) -> _Layer:
    layers = _layers(content, reference)
    if len(layers) != 1:
        raise DownloadFailed(f"{reference} is not an artifact of one layer", final=True)
    if not layers[0].media_type.endswith("tar+gzip"):
        raise DownloadFailed(f"{reference}: its layer is no gzipped tar archive", final=True)
    return layers[0]


def _chart_layer(content: bytes, reference: str) -> _Layer:
    """The archive; a signature of helm's own may stand beside it."""
    found = [layer for layer in _layers(content, reference) if layer.media_type == _CHART_LAYER]
    if len(found) != 1:
        raise DownloadFailed(f"{reference} is no helm chart", final=True)
    return found[0]
