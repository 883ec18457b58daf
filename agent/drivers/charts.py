"""Gets chart archives and makes sure that they are what was asked for, before helm opens them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.drivers.archive import ArchiveFacts, ArchiveRefused, inspect_archive
from agent.drivers.helm import Helm
from agent.errors import StepFailed, ToolError
from shared.contract.extension import HelmSource
from shared.contract.reasons import ReasonCode

_KEPT = 32
"""Archives that are kept for the next reconcile."""
_ARCHIVE_LIMIT = 32 * 1024 * 1024


@dataclass(frozen=True)
class Chart:
    """An archive on disk that was checked."""

    path: Path
    facts: ArchiveFacts


class Charts:
    """A small store of checked archives, by content for inline ones, by origin for others."""

    def __init__(
        self, helm: Helm, directory: Path, *, hosts_allowed: frozenset[str], seconds: float
    ) -> None:
        self._helm = helm
        self._directory = directory
        self._hosts_allowed = hosts_allowed
        self._seconds = seconds

    async def obtain(self, source: HelmSource, *, fresh: bool = False) -> Chart:
        """The chart of a source, from the store unless `fresh`.

        Raises StepFailed(ArtifactFailed): not to be had, not what its digest says, refused.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if source.archive is not None:
            content = base64.b64decode(source.archive.content)
            return await self._keep(content, source.archive.digest, source.archive.digest)
        origin = f"{source.repo}|{source.chart}|{source.version}"
        path = self._path(origin)
        if fresh or not path.exists():
            await self._pull(source, path)
        content = await asyncio.to_thread(path.read_bytes)
        return await self._keep(content, source.digest, origin)

    async def _pull(self, source: HelmSource, target: Path) -> None:
        repo, chart, version = source.repo or "", source.chart or "", source.version or ""
        host = urlsplit(repo).hostname or ""
        if self._hosts_allowed and host not in self._hosts_allowed:
            raise StepFailed(
                ReasonCode.ARTIFACT_FAILED,
                f"charts may not come from {host}: it is not among the hosts this agent allows",
                final=True,
            )
        scratch = Path(tempfile.mkdtemp(prefix="pull-", dir=self._directory))
        try:
            await self._helm.pull(
                repo=repo,
                chart=chart,
                version=version,
                into=scratch,
                deadline_seconds=self._seconds,
            )
            _only_archive(scratch, f"{chart} {version} from {repo}").replace(target)
        except ToolError as error:
            raise StepFailed(
                ReasonCode.ARTIFACT_FAILED, f"{chart} {version} from {repo}: {error}"
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

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
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_bytes(content)
            partial.replace(path)
        self._forget_oldest(path)
        return Chart(path, facts)

    def _path(self, origin: str) -> Path:
        return self._directory / f"{hashlib.sha256(origin.encode()).hexdigest()}.tgz"

    def _forget_oldest(self, keep: Path) -> None:
        kept = sorted(self._directory.glob("*.tgz"), key=lambda p: p.stat().st_mtime, reverse=True)
        for path in kept[_KEPT:]:
            if path != keep:
                path.unlink(missing_ok=True)


def _only_archive(directory: Path, wanted: str) -> Path:
    archives = list(directory.glob("*.tgz"))
    if len(archives) != 1:
        raise StepFailed(ReasonCode.ARTIFACT_FAILED, f"{wanted}: there is no archive in the answer")
    return archives[0]
