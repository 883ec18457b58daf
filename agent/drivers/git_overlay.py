"""Finds the files of a commit that building one of its folders takes.

A repository may be large and the overlay small: from the folder that is asked for, each
kustomization tells which files and folders come next, and the rest is never looked at. Links and
submodules are left out. A file's content may not be there yet; its name and id are, as part of the
commit.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from stat import S_ISDIR, S_ISREG

from dulwich.objects import ObjectID

from agent.drivers.archive import ENTRIES_LIMIT
from agent.drivers.git_packs import Packs, Refused
from agent.drivers.overlay import KUSTOMIZATIONS, reach_of

_DEPTH_LIMIT = 64


@dataclass(frozen=True)
class _Entry:
    folder: bool
    id: ObjectID


@dataclass
class Gathering:
    """The files of an overlay, as far as they are known."""

    files: dict[str, ObjectID] = field(default_factory=dict)
    """By path from the root, the ids of their content."""

    def add(self, files: Mapping[str, ObjectID]) -> None:
        """Raises Refused for too many."""
        self.files |= files
        if len(self.files) > ENTRIES_LIMIT:
            raise Refused(f"the overlay has more than {ENTRIES_LIMIT} files")

    def missing(self, packs: Packs) -> dict[str, ObjectID]:
        """Those whose content is not there."""
        return {path: item for path, item in self.files.items() if item not in packs}


def gather(packs: Packs, root: ObjectID, path: str) -> Gathering:
    """What the overlay at `path` is made of, as far as the kustomizations that are there tell.

    Raises Refused for folders that the commit names and the packs do not hold.
    """
    commit, found = _Folders(packs, root), Gathering()
    waiting, seen = [posixpath.normpath(path)], set[str]()
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        for name in (posixpath.normpath(posixpath.join(folder, k)) for k in KUSTOMIZATIONS):
            entry = commit.entry(name)
            if entry is not None and not entry.folder:
                found.add({name: entry.id})
                waiting += _follow(packs, commit, found, name)
    return found


def _follow(packs: Packs, commit: _Folders, found: Gathering, name: str) -> list[str]:
    """Adds the files that a kustomization reads; gives the folders."""
    content = packs.content(found.files[name])
    if content is None:
        return []
    reach = reach_of(name, content.decode(errors="surrogateescape"))
    if reach.whole_folder:
        commit.add_below(posixpath.dirname(name) or ".", found)
    entries = {target: commit.entry(target) for target in sorted(reach.targets)}
    found.add({at: entry.id for at, entry in entries.items() if entry and not entry.folder})
    return [at for at, entry in entries.items() if entry and entry.folder]


class _Folders:
    """The folders of a commit, each read when it is asked for."""

    def __init__(self, packs: Packs, root: ObjectID) -> None:
        self._packs = packs
        self._root = root
        self._read: dict[str, dict[str, _Entry]] = {}

    def entry(self, path: str) -> _Entry | None:
        """What is at a normal path; None for nothing, and for links and submodules."""
        if path == ".":
            return _Entry(True, self._root)
        folder, name = posixpath.split(path)
        if path.startswith(("/", "..")) or path.count("/") > _DEPTH_LIMIT:
            return None
        return self._inside(folder or ".").get(name)

    def add_below(self, folder: str, found: Gathering) -> None:
        """Adds every file in and below a folder."""
        waiting = [folder]
        while waiting:
            at = waiting.pop()
            inside = {posixpath.normpath(f"{at}/{n}"): e for n, e in self._inside(at).items()}
            found.add({path: entry.id for path, entry in inside.items() if not entry.folder})
            waiting += [path for path, entry in inside.items() if entry.folder]
            if len(waiting) > ENTRIES_LIMIT or at.count("/") > _DEPTH_LIMIT:
                raise Refused(f"the folder {folder} has too many folders")

    def _inside(self, folder: str) -> dict[str, _Entry]:
        if folder not in self._read:
            entry = self.entry(folder)
            self._read[folder] = self._list(folder, entry.id) if entry and entry.folder else {}
        return self._read[folder]

    def _list(self, folder: str, item: ObjectID) -> dict[str, _Entry]:
        tree = self._packs.tree(item)
        if tree is None:
            raise Refused(f"the server's pack does not hold the folder {folder}")
        return {
            _checked(name): _Entry(S_ISDIR(mode), found)
            for name, mode, found in tree.iteritems()
            if S_ISDIR(mode) or S_ISREG(mode)
        }


def _checked(name: bytes) -> str:
    text = name.decode(errors="surrogateescape")
    if text in ("", ".", "..") or set(text) & set("/\\\0"):
        raise Refused("the commit holds a file whose name leaves its folder")
    return text
