"""Fetches an overlay out of one commit of a Git repository over https, as an archive of its files.

The agent speaks to the server itself, by the vetted address. Where the server can leave files out,
it gets the commit's folders first and then the files that the overlay is made of; otherwise the
whole commit, to disk. What came is unpacked in a process of its own with little memory, because
packs hold compressed and delta-coded content.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from agent.drivers.credentials import Credentials
from agent.drivers.download import Downloader, DownloadFailed, DownloadTooLarge
from agent.drivers.git_job import JOB, RESULT, WANTED, Job
from agent.drivers.git_wire import (
    SERVICE,
    VERSION_2,
    Advertisement,
    GitRefused,
    PackStream,
    ask_for_commit,
    ask_for_files,
    read_advertisement,
)
from agent.drivers.origin import content_of
from agent.drivers.process import environment, run_tool
from agent.errors import ToolError, ToolTimedOut
from shared.contract.kustomize_source import GitOverlay

_REFERENCES_LIMIT = 16 * 1024 * 1024
_WRITTEN_AT_ONCE = 1024 * 1024
_FETCHES = 2
"""That are under way at once: each may take the limit of the disk."""
_ROUNDS = 32
"""Requests for files: as many as kustomizations may refer to one another in a chain."""
_SECONDS = 600.0
_UNPACK_SECONDS = 120.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Git:
    """Fetches overlays, a few at once; unpacks one at a time, for the sake of the memory."""

    downloader: Downloader
    work_dir: Path
    limit: int
    """Bytes that a server may send for one overlay."""
    _fetching: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_FETCHES))
    _unpacking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def archive(
        self, source: GitOverlay, path: str, credentials: Credentials | None
    ) -> bytes:
        """A gzipped tar archive of the files that the overlay at `path` is made of.

        Raises DownloadFailed.
        """
        try:
            async with self._fetching, asyncio.timeout(_SECONDS):
                self.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                return await self._fetch(source, path, credentials)
        except GitRefused as error:
            raise DownloadFailed(f"{source.url}: {error}") from error
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no end of it in {_SECONDS:g} s"
            raise DownloadFailed(f"{source.url}: {reason}") from error

    async def _fetch(self, source: GitOverlay, path: str, credentials: Credentials | None) -> bytes:
        server = _Server(self.downloader, source.url.rstrip("/"), credentials, self.limit)
        known = await server.advertised()
        if not known.gives_out(source.commit):
            raise GitRefused(
                f"the server gives out no commit by its id, and {source.commit} is not the newest "
                "of a branch or a tag: tag it"
            )
        try:
            return await self._gather(source, path, server, known)
        except GitRefused:
            if known.version == 2 or not known.filters:
                raise
            return await self._gather(source, path, server, known.without_filters())

    async def _gather(
        self, source: GitOverlay, path: str, server: _Server, known: Advertisement
    ) -> bytes:
        with tempfile.TemporaryDirectory(prefix="git-", dir=self.work_dir) as name:
            return await self._gather_in(Path(name), source, path, server, known)

    async def _gather_in(
        self,
        directory: Path,
        source: GitOverlay,
        path: str,
        server: _Server,
        known: Advertisement,
    ) -> bytes:
        await server.fetch(ask_for_commit(source.commit, known), known, directory / "0.pack")
        asked: list[str] = []
        for number in range(1, _ROUNDS + 1):
            job = Job(source.commit, path, _keys(source), asked, complete=not known.filters)
            wanted = await self._unpack(source, job, directory)
            if not wanted:
                return await asyncio.to_thread((directory / RESULT).read_bytes)
            asked += wanted
            await server.fetch(ask_for_files(wanted, known), known, directory / f"{number}.pack")
        raise DownloadFailed(
            f"{source.url}: more than {_ROUNDS} kustomizations refer to one another", final=True
        )

    async def _unpack(self, source: GitOverlay, job: Job, directory: Path) -> list[str]:
        """The ids of files that are still wanted; with none, the archive is made."""
        await asyncio.to_thread((directory / JOB).write_text, json.dumps(asdict(job)))
        try:
            async with self._unpacking:
                await run_tool(
                    Path(sys.executable),
                    ["-m", "agent.drivers.git_unpack", str(directory)],
                    env=environment({"PYTHONPATH": str(_ROOT), "HOME": str(directory), "PATH": ""}),
                    cwd=directory,
                    deadline_seconds=_UNPACK_SECONDS,
                )
        except ToolTimedOut as error:
            raise DownloadFailed(f"{source.url}: unpacking it takes too long") from error
        except ToolError as error:
            raise DownloadFailed(
                f"{source.url}: {error}: nothing was applied", final=True
            ) from error
        return await asyncio.to_thread(_take_wanted, directory / WANTED)


@dataclass(frozen=True)
class _Server:
    """One repository's server."""

    downloader: Downloader
    url: str
    credentials: Credentials | None
    limit: int

    async def advertised(self) -> Advertisement:
        """What it has and can. Raises DownloadFailed and GitRefused."""
        url = f"{self.url}/info/refs?service={SERVICE}"
        answer = await self.downloader.get(
            url,
            limit=_REFERENCES_LIMIT,
            headers=VERSION_2,
            credentials=self.credentials,
            basic=True,
        )
        return read_advertisement(content_of(answer, url, self.credentials))

    async def fetch(self, request: bytes, known: Advertisement, target: Path) -> None:
        """Writes the pack that is asked for, within the limit together with those beside it.

        Raises DownloadFailed, GitRefused and OSError.
        """
        url = f"{self.url}/{SERVICE}"
        headers = {
            "Content-Type": f"application/x-{SERVICE}-request",
            "Accept": f"application/x-{SERVICE}-result",
            **(VERSION_2 if known.version == 2 else {}),
        }
        limit = self.limit - await asyncio.to_thread(_size_of_packs, target.parent)
        with await asyncio.to_thread(target.open, "xb") as file:
            pack = _PackFile(file, PackStream(known.version))
            try:
                answer = await self.downloader.post(
                    url,
                    request,
                    limit=limit,
                    headers=headers,
                    credentials=self.credentials,
                    basic=True,
                    sink=pack.take,
                )
            except DownloadTooLarge as error:
                raise DownloadFailed(f"{error}: {_way_out(known)}", final=True) from error
            content_of(answer, url, self.credentials)
            await pack.end()


class _PackFile:
    """Writes a pack as it comes, in large pieces."""

    def __init__(self, file: BinaryIO, stream: PackStream) -> None:
        self._file = file
        self._stream = stream
        self._waiting = bytearray()

    async def take(self, chunk: bytes) -> None:
        """Raises GitRefused and OSError."""
        self._waiting += self._stream.feed(chunk)
        if len(self._waiting) >= _WRITTEN_AT_ONCE:
            await self._write()

    async def end(self) -> None:
        """Raises GitRefused where the pack is not whole, and OSError."""
        self._stream.end()
        await self._write()
        await asyncio.to_thread(self._file.flush)

    async def _write(self) -> None:
        await asyncio.to_thread(self._file.write, self._waiting)
        self._waiting = bytearray()


def _way_out(known: Advertisement) -> str:
    if known.filters:
        return "its folders and the overlay's files alone are more than this agent's Git limit"
    return (
        "its server cannot leave files out, and this agent's Git limit is lower: raise it, keep "
        "the overlay in a repository of its own, or publish it as an archive or an OCI artifact"
    )


def _keys(source: GitOverlay) -> dict[str, list[str]] | None:
    if source.verify is None:
        return None
    return {"ssh": list(source.verify.ssh_keys), "pgp": list(source.verify.pgp_keys)}


def _size_of_packs(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.pack"))


def _take_wanted(path: Path) -> list[str]:
    try:
        wanted = [str(item) for item in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    path.unlink()
    return wanted
