"""Git's objects out of packs on disk, with an index on disk beside each: little memory is needed
however large they are. Every object is found by the hash of its own content.
"""

from __future__ import annotations

from pathlib import Path

from dulwich.file import GitFile
from dulwich.object_format import SHA1
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.pack import (
    Pack,
    PackData,
    PackIndexEntry,
    PackIndexer,
    UnpackedObject,
    chunks_length,
    write_pack_index_v2,
)

INFLATED_LIMIT = 8 * 1024 * 1024 * 1024
"""Bytes that the objects of one pack may come to, one after the other."""
_CACHED = 16 * 1024 * 1024
"""Bytes of objects that others are built upon which are held in memory."""


class Refused(ValueError):
    """The commit is not one to build from."""


class Packs:
    """The objects in all packs of a folder. Packs without an index get one."""

    def __init__(self, directory: Path) -> None:
        self._packs = []
        for path in sorted(directory.glob("*.pack")):
            index = path.with_suffix(".idx")
            if not index.exists():
                _write_index(path, index)
            basename = str(path.with_suffix(""))
            self._packs.append(Pack(basename, object_format=SHA1, delta_base_cache_limit=_CACHED))

    def close(self) -> None:
        """Lets go of the packs."""
        for pack in self._packs:
            pack.close()

    def __contains__(self, item: ObjectID) -> bool:
        return any(item in pack.index for pack in self._packs)

    def commit(self, item: ObjectID) -> Commit | None:
        """The commit of this id; None where there is none."""
        found = self._get(item)
        return found if isinstance(found, Commit) else None

    def tree(self, item: ObjectID) -> Tree | None:
        """The folder of this id; None where there is none."""
        found = self._get(item)
        return found if isinstance(found, Tree) else None

    def content(self, item: ObjectID) -> bytes | None:
        """The content of a file; None where there is none."""
        found = self._get(item)
        return found.as_raw_string() if isinstance(found, Blob) else None

    def _get(self, item: ObjectID) -> ShaFile | None:
        for pack in self._packs:
            if item in pack.index:
                return pack[item]
        return None


class _Bounded(PackIndexer):
    """Goes through a pack, and stops where it unpacks to more than is allowed."""

    _inflated = 0

    def _result(self, unpacked: UnpackedObject) -> PackIndexEntry:
        self._inflated += chunks_length(unpacked.obj_chunks or [])
        if self._inflated > INFLATED_LIMIT:
            raise Refused("the repository unpacks to more than is allowed")
        return super()._result(unpacked)


def _write_index(path: Path, index: Path) -> None:
    """Unpacks every object once, to know the hash of its content."""
    data = PackData(path, object_format=SHA1)
    data.check()
    entries = sorted(_Bounded.for_pack_data(data))
    with GitFile(index, "wb") as file:
        write_pack_index_v2(file, entries, data.get_stored_checksum())
    data.close()  # after an error it is still being read, and the program ends
