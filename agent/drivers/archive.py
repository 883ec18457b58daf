"""Looks into a chart or overlay archive before any tool opens it. Pure but for reading bytes.

Refuses what has no business in one: paths that leave its root, links, devices, and archives that
unpack to more than they should.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shared.contract.canonical import digest_bytes

UNPACKED_LIMIT = 64 * 1024 * 1024
ENTRIES_LIMIT = 10_000
_HEADERS_BYTES = 2048
"""Headers and padding of one entry."""


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
        return any(_is_crd(name) for name in self.files)


def inspect_archive(content: bytes) -> ArchiveFacts:
    """The facts of a gzipped tar archive. Raises ArchiveRefused."""
    names = [member.name for member, _ in _vetted(content, read=False)]
    return ArchiveFacts(digest_bytes(content), tuple(names))


def read_files(content: bytes) -> dict[str, str]:
    """The regular files of a gzipped tar archive by normal path. Raises ArchiveRefused.

    Bytes that are not UTF-8 survive as surrogates, to be written with `surrogateescape`.
    """
    files: dict[str, str] = {}
    for member, data in _vetted(content, read=True):
        name = str(PurePosixPath(member.name))
        if name in files:
            raise ArchiveRefused(f"{name!r} is in the archive twice")
        files[name] = data.decode(errors="surrogateescape")
    return files


class _Bounded(io.RawIOBase):
    """Gives at most what an archive may unpack to, whatever its headers say: those of long names
    and attributes are read as a whole before anyone sees their size."""

    def __init__(self, unzipped: gzip.GzipFile) -> None:
        self._unzipped = unzipped
        self._left = UNPACKED_LIMIT + ENTRIES_LIMIT * _HEADERS_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._unzipped.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveRefused("the archive unpacks to more than is allowed")
        return data


def _vetted(content: bytes, *, read: bool) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Every regular file, with its bytes where they are wanted; refuses on the way."""
    entries = unpacked = 0
    try:
        # Not "r|gz": tarfile stumbles over the extra field that helm writes into its gzip header.
        with (
            gzip.GzipFile(fileobj=io.BytesIO(content)) as unzipped,
            tarfile.open(fileobj=_Bounded(unzipped), mode="r|") as archive,
        ):
            for member in archive:
                _refuse_odd(member)
                entries += 1
                unpacked += member.size
                if unpacked > UNPACKED_LIMIT or entries > ENTRIES_LIMIT:
                    raise ArchiveRefused("the archive unpacks to more than is allowed")
                if member.isfile():
                    file = archive.extractfile(member) if read else None
                    yield member, b"" if file is None else file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ArchiveRefused(f"not a gzipped tar archive: {error}") from error


def read_crds(path: Path) -> list[str]:
    """The texts in the `crds/` folders of an archive that was inspected before."""
    texts = []
    with tarfile.open(path, mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if _is_crd(member.name) else None
            if file is not None:
                texts.append(file.read().decode(errors="replace"))
    return texts


def _is_crd(name: str) -> bool:
    parts = PurePosixPath(name).parts
    folders = [i for i, part in enumerate(parts[:-1]) if part == "crds"]
    # web/crds/…, and web/charts/sub/crds/… for a subchart.
    return any(i == 1 or (i >= 3 and parts[i - 2] == "charts") for i in folders) and name.endswith(
        (".yaml", ".yml", ".json")
    )


def _refuse_odd(member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise ArchiveRefused(f"{member.name!r} leaves the archive's root")
    if not (member.isfile() or member.isdir()):
        raise ArchiveRefused(f"{member.name!r} is a link or a device")
