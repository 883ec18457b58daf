"""Looks into a chart or overlay archive before any tool opens it. Pure but for reading bytes.

Refuses what has no business in one: paths that leave its root, links, devices, and archives that
unpack to more than they should.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from shared.contract.canonical import digest_bytes

UNPACKED_LIMIT = 64 * 1024 * 1024
ENTRIES_LIMIT = 10_000


class ArchiveRefused(ValueError):
    """The archive is not one that a tool should open."""


@dataclass(frozen=True)
class ArchiveFacts:
    """What an archive holds, without unpacking it."""

    digest: str
    files: tuple[str, ...]
    """Paths of its regular files, from its root."""

    @property
    def has_crds(self) -> bool:
        """True for a chart with a `crds/` folder, its own or a subchart's."""
        return any("crds" in PurePosixPath(name).parts[1:-1] for name in self.files)


def inspect_archive(content: bytes) -> ArchiveFacts:
    """The facts of a gzipped tar archive. Raises ArchiveRefused."""
    names: list[str] = []
    unpacked = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
            for member in archive:
                _refuse_odd(member)
                unpacked += member.size
                if unpacked > UNPACKED_LIMIT or len(names) >= ENTRIES_LIMIT:
                    raise ArchiveRefused("the archive unpacks to more than is allowed")
                if member.isfile():
                    names.append(member.name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveRefused(f"not a gzipped tar archive: {error}") from error
    return ArchiveFacts(digest_bytes(content), tuple(names))


def _refuse_odd(member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise ArchiveRefused(f"{member.name!r} leaves the archive's root")
    if not (member.isfile() or member.isdir()):
        raise ArchiveRefused(f"{member.name!r} is a link or a device")
