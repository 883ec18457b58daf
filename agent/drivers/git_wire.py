"""Git's smart HTTP protocol, as much of it as fetching one commit takes. Pure.

Version 0, because every server speaks it. Source: Git's gitprotocol-pack(5), gitprotocol-http(5)
and gitprotocol-common(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SERVICE = "git-upload-pack"
_BY_ID = frozenset({"allow-reachable-sha1-in-want", "allow-any-sha1-in-want"})
"""Capabilities of servers that give out commits which nothing points to."""
_BAND_DATA, _BAND_PROGRESS, _BAND_ERROR = 1, 2, 3


class GitRefused(ValueError):
    """The server says no, or says what is not Git's protocol."""


@dataclass(frozen=True)
class Advertisement:
    """What a server has and can."""

    commits: frozenset[str]
    """Ids that branches and tags point to."""
    capabilities: frozenset[str]

    def gives_out(self, commit: str) -> bool:
        """Whether it can be asked for this commit."""
        return commit in self.commits or bool(_BY_ID & self.capabilities)


def read_advertisement(answer: bytes) -> Advertisement:
    """The answer to `GET …/info/refs?service=git-upload-pack`. Raises GitRefused."""
    lines = list(_packets(answer))
    if not lines or (lines[0] or b"").rstrip(b"\n") != f"# service={SERVICE}".encode():
        raise GitRefused("there is no Git repository, or its server speaks the old protocol only")
    commits, capabilities = set(), frozenset[str]()
    for line in lines[1:]:
        if line is None:
            continue
        reference, _, told = line.rstrip(b"\n").partition(b"\0")
        if told:
            capabilities = frozenset(told.decode(errors="replace").split())
        commits.add(reference.partition(b" ")[0].decode(errors="replace"))
    return Advertisement(frozenset(commits), capabilities)


def write_request(commit: str, capabilities: frozenset[str]) -> bytes:
    """The body of `POST …/git-upload-pack`: this commit, without its history.

    Raises GitRefused for a server that cannot leave the history out.
    """
    if "shallow" not in capabilities or "side-band-64k" not in capabilities:
        raise GitRefused("the server cannot give out a commit without its history")
    # Some servers insist on thin packs; for who holds nothing no pack is thin.
    wished = [n for n in ("thin-pack", "ofs-delta", "no-progress") if n in capabilities]
    asked = " ".join(["side-band-64k", *wished, "agent=arcbridge"])
    return b"".join(
        [_packet(f"want {commit} {asked}\n"), _packet("deepen 1\n"), b"0000", _packet("done\n")]
    )


def read_pack(answer: bytes) -> bytes:
    """The pack in the answer to that request. Raises GitRefused with the server's words."""
    pack = bytearray()
    started = False
    for line in _packets(answer):
        if line is None:
            continue
        if line.startswith(b"ERR "):
            raise GitRefused(_words(line[4:]))
        if not started:
            # `shallow …` lines, then NAK; what follows is the pack.
            started = line.rstrip(b"\n") == b"NAK"
        elif line[0] == _BAND_DATA:
            pack += line[1:]
        elif line[0] == _BAND_ERROR:
            raise GitRefused(_words(line[1:]))
        elif line[0] != _BAND_PROGRESS:
            raise GitRefused("the server's answer is not readable")
    if not pack.startswith(b"PACK"):
        raise GitRefused("the server's answer holds no pack")
    return bytes(pack)


def _packets(data: bytes) -> Iterator[bytes | None]:
    """The packets of a stream; None for a flush. Empty ones are left out."""
    at = 0
    while at < len(data):
        try:
            length = int(data[at : at + 4], 16)
        except ValueError as error:
            raise GitRefused("the server's answer is not Git's protocol") from error
        if length in (1, 2, 3) or at + length > len(data):
            raise GitRefused("the server's answer is cut off")
        if length == 0:
            yield None
        elif length > 4:
            yield data[at + 4 : at + length]
        at += max(4, length)


def _packet(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


def _words(said: bytes) -> str:
    """The server's, short and on one line."""
    text = said.decode(errors="replace")
    return "the server says: " + "".join(c if c.isprintable() else " " for c in text)[:200].strip()
