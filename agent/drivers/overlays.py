"""Gets the files of overlays, from the document or from afar, checked before anyone reads them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.drivers.archive import ArchiveRefused, read_files
from agent.drivers.artifacts import Registry
from agent.drivers.credentials import Credentials
from agent.drivers.download import Downloader, DownloadFailed
from agent.drivers.git import Git
from agent.drivers.origin import PUBLIC, Access, content_of
from agent.errors import StepFailed
from shared.contract.canonical import digest_bytes
from shared.contract.kustomize_source import KustomizeSource, OverlayArchive
from shared.contract.reasons import ReasonCode

_ARCHIVE_LIMIT = 32 * 1024 * 1024
_CHECKSUM_BYTES = hashlib.sha256().digest_size
"""A kept file begins with its content's SHA-256, as an OCI digest is not that of the content."""
_KEPT = 32
"""Archives that are kept, so that a restarted agent needs no network for what it has."""
_KEPT_BYTES = 256 * 1024 * 1024
"""They may come to no more than this, or the volume of the agent's state would fill up."""


class Overlays:
    """A small store of archives by the digest or commit that was asked for."""

    def __init__(self, downloader: Downloader, directory: Path, *, git_limit: int) -> None:
        """`git_limit` is how many bytes a Git server may send for one overlay."""
        self._downloader = downloader
        self._registry = Registry(downloader)
        self._git = Git(downloader, directory, git_limit)
        self._directory = directory

    async def obtain(self, source: KustomizeSource, access: Access = PUBLIC) -> Mapping[str, str]:
        """The overlay's files by path.

        Raises StepFailed: ArtifactFailed for what is not to be had, not what its digest says, or
        refused, and what `access` raises where credentials are needed.
        """
        if source.files is not None:
            return source.files
        try:
            content = await self._content(source, access)
            return await asyncio.to_thread(read_files, content)
        except DownloadFailed as error:
            raise StepFailed(ReasonCode.ARTIFACT_FAILED, str(error), final=error.final) from error
        except ArchiveRefused as error:
            raise StepFailed(ReasonCode.ARTIFACT_FAILED, str(error), final=True) from error

    async def _content(self, source: KustomizeSource, access: Access) -> bytes:
        # What was taken without a signature, or with another key's, is not what is asked for now.
        key = source.verify.cosign_key if source.verify else ""
        asked = f"{_identity(source)}|{access.mark}|{key}"
        name = hashlib.sha256(asked.encode()).hexdigest()
        path = self._directory / f"{name}.kept"
        kept = await asyncio.to_thread(self._kept, path)
        return kept or await self._fetch(source, path, await access.credentials())

    async def _fetch(
        self, source: KustomizeSource, path: Path, credentials: Credentials | None
    ) -> bytes:
        if source.archive is not None:
            content = await self._download(source.archive, credentials)
        elif source.git is not None:
            content = await self._git.archive(source.git, source.path, credentials)
        else:
            content = await self._registry.pull(
                source.oci or "",
                limit=_ARCHIVE_LIMIT,
                credentials=credentials,
                cosign_key=source.verify.cosign_key if source.verify else None,
            )
        await asyncio.to_thread(self._keep, path, content)
        return content

    async def _download(self, archive: OverlayArchive, credentials: Credentials | None) -> bytes:
        answer = await self._downloader.get(
            archive.url, limit=_ARCHIVE_LIMIT, credentials=credentials
        )
        content = content_of(answer, archive.url, credentials)
        found = digest_bytes(content)
        if found != archive.digest:
            raise DownloadFailed(
                f"{archive.url.partition('?')[0]}: the archive's digest is {found}, not "
                f"{archive.digest}: nothing was applied",
                final=True,
            )
        return content

    def _kept(self, path: Path) -> bytes | None:
        """What was kept; None where there is nothing, or half of it after a power cut."""
        try:
            kept = path.read_bytes()
        except FileNotFoundError:
            return None
        checksum, content = kept[:_CHECKSUM_BYTES], kept[_CHECKSUM_BYTES:]
        return content if hashlib.sha256(content).digest() == checksum else None

    def _keep(self, path: Path, content: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as partial:
            partial.write(hashlib.sha256(content).digest() + content)
        Path(partial.name).replace(path)
        kept = sorted(self._directory.glob("*.kept"), key=lambda p: p.stat().st_mtime, reverse=True)
        size = 0
        for number, old in enumerate(kept):
            size += old.stat().st_size
            if number >= _KEPT or size > _KEPT_BYTES:
                old.unlink(missing_ok=True)


def _identity(source: KustomizeSource) -> str:
    """What pins the content. Who may have signed a commit is part of it: what was taken from other
    hands is not what was asked for. So is the folder: only what it needs is taken."""
    if source.archive is not None:
        return source.archive.digest
    if source.git is not None:
        return json.dumps([source.git.to_canonical(), source.path], sort_keys=True)
    return (source.oci or "").partition("@")[2]
