"""Git's smart HTTP protocol, as much of it as fetching objects of one commit takes. Pure.

Version 2 where the server speaks it: there any object can be asked for by its id, and most can
leave files out. Otherwise version 0, which every server speaks, and where some can do the same.
Source: Git's gitprotocol-v2(5), gitprotocol-pack(5), gitprotocol-http(5), gitprotocol-common(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

SERVICE = "git-upload-pack"
VERSION_2 = {"Git-Protocol": "version=2"}
"""The header that asks for it, with each request."""
_BY_ID = frozenset({"allow-reachable-sha1-in-want", "allow-any-sha1-in-want"})
"""Capabilities of version 0 servers that give out commits which nothing points to."""
_BAND_DATA, _BAND_PROGRESS, _BAND_ERROR = 1, 2, 3
_FLUSH, _DELIMITER, _END_OF_RESPONSE = 0, 1, 2


class GitRefused(ValueError):
    """The server says no, or says what is not Git's protocol."""


@dataclass(frozen=True)
class Advertisement:
    """What a server has and can."""

    version: int
    """Of the protocol: 0 or 2."""
    commits: frozenset[str]
    """Ids that branches and tags point to; version 2 does not tell them."""
    capabilities: frozenset[str]
    """In version 2 with their values, `fetch=shallow filter`."""

    def gives_out(self, commit: str) -> bool:
        """Whether it can be asked for this commit."""
        return self.version == 2 or commit in self.commits or bool(_BY_ID & self.capabilities)

    @property
    def filters(self) -> bool:
        """Whether it can leave files out, and seems to give them out by their ids later."""
        if self.version == 2:
            return "filter" in self._fetch
        return "filter" in self.capabilities and bool(_BY_ID & self.capabilities)

    def without_filters(self) -> Advertisement:
        """A server of version 0 may give out commits by their ids, and no files."""
        return replace(self, capabilities=self.capabilities - {"filter"})

    @property
    def leaves_history_out(self) -> bool:
        """Whether it can give out a commit without what came before it."""
        if self.version == 2:
            return "shallow" in self._fetch
        return {"shallow", "side-band-64k"} <= self.capabilities

    @property
    def _fetch(self) -> frozenset[str]:
        told = (c.removeprefix("fetch=") for c in self.capabilities if c.startswith("fetch="))
        return frozenset(next(told, "").split())


def read_advertisement(answer: bytes) -> Advertisement:
    """The answer to `GET …/info/refs?service=git-upload-pack`. Raises GitRefused."""
    lines = [line.rstrip(b"\n") for line in _lines(answer)]
    service = f"# service={SERVICE}".encode()
    if lines[:1] == [service]:
        lines = lines[1:]
        if lines[:1] != [b"version 2"]:
            return _read_version_0(lines)
    if lines[:1] != [b"version 2"]:
        raise GitRefused("there is no Git repository, or its server speaks the old protocol only")
    told = frozenset(line.decode(errors="replace") for line in lines[1:])
    if any(c.startswith("object-format=") and c != "object-format=sha1" for c in told):
        raise GitRefused("the repository's ids are not SHA-1, which is not supported")
    return Advertisement(2, frozenset(), told)


def _read_version_0(lines: list[bytes]) -> Advertisement:
    commits, capabilities = set(), frozenset[str]()
    for line in lines:
        reference, _, told = line.partition(b"\0")
        if told:
            capabilities = frozenset(told.decode(errors="replace").split())
        commits.add(reference.partition(b" ")[0].decode(errors="replace"))
    return Advertisement(0, frozenset(commits), capabilities)


def ask_for_commit(commit: str, known: Advertisement) -> bytes:
    """The body of `POST …/git-upload-pack`: this commit, without its history, and without its files
    where the server can leave them out.

    Raises GitRefused for a server that cannot leave the history out.
    """
    if not known.leaves_history_out:
        raise GitRefused("the server cannot give out a commit without its history")
    if known.version == 2:
        wishes = ["deepen 1", *(["filter blob:none"] if known.filters else []), f"want {commit}"]
        return _command(known, wishes)
    wishes = ["deepen 1", *(["filter blob:none"] if known.filters else [])]
    return _wants([commit], wishes, known)


def ask_for_files(ids: Iterable[str], known: Advertisement) -> bytes:
    """The same for files that were left out, by the ids of their content."""
    if known.version == 2:
        return _command(known, [f"want {found}" for found in ids])
    return _wants(ids, [], known)


def _wants(ids: Iterable[str], wishes: Iterable[str], known: Advertisement) -> bytes:
    """A request of version 0."""
    # Some servers insist on thin packs; for who holds nothing no pack is thin.
    optional = ("thin-pack", "ofs-delta", "no-progress", "filter")
    wished = [name for name in optional if name in known.capabilities]
    asked = " ".join(["side-band-64k", *wished, "agent=arcbridge"])
    first, *others = [f"want {item}" for item in ids]
    lines = [f"{first} {asked}", *others, *wishes]
    return b"".join([*(_packet(f"{line}\n") for line in lines), b"0000", _packet("done\n")])


def _command(known: Advertisement, wishes: Iterable[str]) -> bytes:
    own = ["command=fetch"]
    own += ["object-format=sha1"] if "object-format=sha1" in known.capabilities else []
    own += ["agent=arcbridge"] if any(c.startswith("agent=") for c in known.capabilities) else []
    arguments = ["no-progress", "ofs-delta", *wishes, "done"]
    return b"".join(
        [
            *(_packet(f"{line}\n") for line in own),
            b"0001",
            *(_packet(f"{line}\n") for line in arguments),
            b"0000",
        ]
    )


class PackStream:
    """Takes the pack out of the answer to such a request, piece by piece."""

    def __init__(self, version: int) -> None:
        self._begins = b"NAK" if version == 0 else b"packfile"
        """The line after which the pack comes. Before it are the commits that history ends at."""
        self._rest = b""
        self._started = False
        self._head = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the pack is in the next piece. Raises GitRefused with the server's words."""
        data = self._rest + chunk
        pack = bytearray()
        at = 0
        while (end := _end_of_packet(data, at)) is not None:
            pack += self._take(data[at + 4 : end])
            at = end
        self._rest = data[at:]
        if len(self._head) < 4:
            self._head = (self._head + pack)[:4]
        return bytes(pack)

    def end(self) -> None:
        """Raises GitRefused unless a whole answer with a pack has come."""
        if self._rest:
            raise GitRefused("the server's answer is cut off")
        if self._head != b"PACK":
            raise GitRefused("the server's answer holds no pack")

    def _take(self, line: bytes) -> bytes:
        if line.startswith(b"ERR "):
            raise GitRefused(_words(line[4:]))
        if not line:
            return b""
        if not self._started:
            self._started = line.rstrip(b"\n") == self._begins
        elif line[0] == _BAND_DATA:
            return line[1:]
        elif line[0] == _BAND_ERROR:
            raise GitRefused(_words(line[1:]))
        elif line[0] != _BAND_PROGRESS:
            raise GitRefused("the server's answer is not readable")
        return b""


def _lines(data: bytes) -> Iterator[bytes]:
    """The packets of a whole answer that have something in them."""
    at = 0
    while at < len(data):
        end = _end_of_packet(data, at)
        if end is None:
            raise GitRefused("the server's answer is cut off")
        if end > at + 4:
            yield data[at + 4 : end]
        at = end


def _end_of_packet(data: bytes, at: int) -> int | None:
    """Where the packet at `at` ends; None while it is not all there."""
    if len(data) < at + 4:
        return None
    try:
        length = int(data[at : at + 4], 16)
    except ValueError as error:
        raise GitRefused("the server's answer is not Git's protocol") from error
    if length in (_FLUSH, _DELIMITER, _END_OF_RESPONSE):
        return at + 4
    if length < 4:
        raise GitRefused("the server's answer is not Git's protocol")
    return at + length if at + length <= len(data) else None


def _packet(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


def _words(said: bytes) -> str:
    """The server's, short and on one line."""
    text = said.decode(errors="replace")
    return "the server says: " + "".join(c if c.isprintable() else " " for c in text)[:200].strip()
