"""Fetches one commit of a Git repository over https and makes an archive of its files.

The agent speaks to the server itself, by the vetted address; what came is unpacked in a process of
its own with little memory, because packs hold compressed and delta-coded content.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.drivers.credentials import Credentials
from agent.drivers.download import Downloader, DownloadFailed, DownloadTooLarge
from agent.drivers.git_wire import (
    SERVICE,
    GitRefused,
    read_advertisement,
    read_pack,
    write_request,
)
from agent.drivers.origin import content_of
from agent.drivers.process import environment, run_tool
from agent.errors import ToolError, ToolTimedOut
from shared.contract.kustomize_source import GitOverlay

_PACK_LIMIT = 32 * 1024 * 1024
_REFERENCES_LIMIT = 16 * 1024 * 1024
_UNPACK_SECONDS = 120.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Git:
    """Fetches commits."""

    downloader: Downloader
    work_dir: Path

    async def archive(self, source: GitOverlay, credentials: Credentials | None) -> bytes:
        """A gzipped tar archive of the commit's files. Raises DownloadFailed."""
        try:
            pack = await self._pack(source, credentials)
        except GitRefused as error:
            raise DownloadFailed(f"{source.url}: {error}") from error
        return await self._unpack(source, pack)

    async def _pack(self, source: GitOverlay, credentials: Credentials | None) -> bytes:
        base = source.url.rstrip("/")
        url = f"{base}/info/refs?service={SERVICE}"
        answer = await self.downloader.get(
            url, limit=_REFERENCES_LIMIT, credentials=credentials, basic=True
        )
        known = read_advertisement(content_of(answer, url, credentials))
        if not known.gives_out(source.commit):
            raise GitRefused(
                f"the server gives out no commit by its id, and {source.commit} is not the newest "
                "of a branch or a tag: tag it"
            )
        body = write_request(source.commit, known.capabilities)
        headers = {
            "Content-Type": f"application/x-{SERVICE}-request",
            "Accept": f"application/x-{SERVICE}-result",
        }
        url = f"{base}/{SERVICE}"
        try:
            answer = await self.downloader.post(
                url, body, limit=_PACK_LIMIT, headers=headers, credentials=credentials, basic=True
            )
        except DownloadTooLarge as error:
            raise DownloadFailed(
                f"{error}, which is more than the files of a commit may be: keep the overlay in a "
                "repository of its own, or publish it as an archive or an OCI artifact",
                final=True,
            ) from error
        return read_pack(content_of(answer, url, credentials))

    async def _unpack(self, source: GitOverlay, pack: bytes) -> bytes:
        self.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="git-", dir=self.work_dir) as name:
            directory = Path(name)
            keys = None
            if source.verify is not None:
                keys = {"ssh": source.verify.ssh_keys, "pgp": source.verify.pgp_keys}
            job = json.dumps({"commit": source.commit, "keys": keys})
            await asyncio.to_thread((directory / "job.json").write_text, job)
            await asyncio.to_thread((directory / "fetched.pack").write_bytes, pack)
            try:
                await run_tool(
                    Path(sys.executable),
                    ["-m", "agent.drivers.git_unpack", str(directory)],
                    env=environment({"PYTHONPATH": str(_ROOT), "HOME": name, "PATH": ""}),
                    cwd=directory,
                    deadline_seconds=_UNPACK_SECONDS,
                )
                return await asyncio.to_thread((directory / "files.tgz").read_bytes)
            except ToolTimedOut as error:
                raise DownloadFailed(f"{source.url}: unpacking it takes too long") from error
            except ToolError as error:
                raise DownloadFailed(
                    f"{source.url}: {error}: nothing was applied", final=True
                ) from error
