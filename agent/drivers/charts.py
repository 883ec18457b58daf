"""Gets chart archives and makes sure that they are what was asked for, before helm opens them.

helm itself never fetches: it would follow a repository's URL and redirects wherever they lead, into
the cluster's own network too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.drivers.archive import ArchiveFacts, ArchiveRefused, inspect_archive
from agent.drivers.artifacts import Registry
from agent.drivers.chart_index import IndexUnreadable, chart_url
from agent.drivers.credentials import Credentials
from agent.drivers.download import Download, Downloader, DownloadFailed
from agent.drivers.origin import PUBLIC, Access, content_of
from agent.errors import StepFailed
from shared.contract.helm_source import HelmSource
from shared.contract.reasons import ReasonCode

_KEPT = 32
"""Archives that are kept for the next reconcile."""
_ARCHIVE_LIMIT = 32 * 1024 * 1024
_INDEX_LIMIT = 64 * 1024 * 1024
"""The largest public repositories have indexes of about half of this."""


@dataclass(frozen=True)
class Chart:
    """An archive on disk that was checked."""

    path: Path
    facts: ArchiveFacts


class Charts:
    """A small store of checked archives, by content for inline ones, by origin for others."""

    def __init__(self, downloader: Downloader, directory: Path) -> None:
        self._downloader = downloader
        self._registry = Registry(downloader)
        self._directory = directory

    async def obtain(
        self, source: HelmSource, access: Access = PUBLIC, *, fresh: bool = False
    ) -> Chart:
        """The chart of a source, from the store unless `fresh`.

        Raises StepFailed: ArtifactFailed for what is not to be had, not what its digest says, or
        refused, and what `access` raises where credentials are needed.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if source.archive is not None:
            content = base64.b64decode(source.archive.content)
            return await self._keep(content, source.archive.digest, source.archive.digest)
        # What was taken without a signature, or with another key's, is not what is asked for now.
        key = source.verify.cosign_key if source.verify else ""
        origin = f"{source.repo}|{source.chart}|{source.version}|{access.mark}|{key}"
        path = self._path(origin)
        if fresh or not path.exists():
            content = await self._fetch(source, await access.credentials())
        else:
            content = await asyncio.to_thread(path.read_bytes)
        return await self._keep(content, source.digest, origin)

    async def _fetch(self, source: HelmSource, credentials: Credentials | None) -> bytes:
        repo, chart, version = source.repo or "", source.chart or "", source.version or ""
        try:
            if repo.startswith("oci://"):
                return await self._registry.pull_chart(
                    repo,
                    chart,
                    version,
                    limit=_ARCHIVE_LIMIT,
                    credentials=credentials,
                    cosign_key=source.verify.cosign_key if source.verify else None,
                )
            index = f"{repo.rstrip('/')}/index.yaml"
            content = await self._get(index, _INDEX_LIMIT, credentials)
            url = await asyncio.to_thread(
                chart_url, content, repo=repo, chart=chart, version=version
            )
            return await self._get(url, _ARCHIVE_LIMIT, credentials)
        except (DownloadFailed, IndexUnreadable) as error:
            final = isinstance(error, DownloadFailed) and error.final
            raise StepFailed(
                ReasonCode.ARTIFACT_FAILED, f"{chart} {version} from {repo}: {error}", final=final
            ) from error

    async def _get(self, url: str, limit: int, credentials: Credentials | None) -> bytes:
        answer: Download = await self._downloader.get(url, limit=limit, credentials=credentials)
        return content_of(answer, url, credentials)

    async def _keep(self, content: bytes, wanted: str | None, origin: str) -> Chart:
        path = self._path(origin)
        try:
            if len(content) > _ARCHIVE_LIMIT:
                raise ArchiveRefused(f"the archive is larger than {_ARCHIVE_LIMIT} bytes")
            facts = await asyncio.to_thread(inspect_archive, content)
        except ArchiveRefused as error:
            path.unlink(missing_ok=True)
            raise StepFailed(ReasonCode.ARTIFACT_FAILED, str(error), final=True) from error
        if wanted is not None and facts.digest != wanted:
            path.unlink(missing_ok=True)
            raise StepFailed(
                ReasonCode.ARTIFACT_FAILED,
                f"the archive's digest is {facts.digest}, not {wanted}: nothing was applied",
                final=True,
            )
        await asyncio.to_thread(_write, path, content)
        self._forget_oldest(path)
        return Chart(path, facts)

    def _path(self, origin: str) -> Path:
        return self._directory / f"{hashlib.sha256(origin.encode()).hexdigest()}.tgz"

    def _forget_oldest(self, keep: Path) -> None:
        kept = sorted(self._directory.glob("*.tgz"), key=lambda p: p.stat().st_mtime, reverse=True)
        for path in kept[_KEPT:]:
            if path != keep:
                path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for two that write it at once too."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as partial:
        partial.write(content)
    Path(partial.name).replace(path)
