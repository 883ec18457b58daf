"""Git's protocol as it arrives: in any pieces, in either version, from servers that are none."""

from __future__ import annotations

import pytest

from agent.drivers.git_wire import (
    Advertisement,
    GitRefused,
    PackStream,
    ask_for_commit,
    ask_for_files,
    read_advertisement,
)

COMMIT = "c" * 40
PACK = b"PACK\0\0\0\2 and the rest of it"


def packet(line: str | bytes) -> bytes:
    content = line.encode() if isinstance(line, str) else line
    return b"%04x" % (len(content) + 4) + content


SERVICE = packet("# service=git-upload-pack\n") + b"0000"
VERSION_2 = b"".join(
    packet(f"{line}\n")
    for line in ("version 2", "agent=git/2.39", "fetch=shallow filter", "object-format=sha1")
)
ANSWER_2 = (
    packet("shallow-info\n")
    + packet(f"shallow {COMMIT}")
    + b"0001"
    + packet("packfile\n")
    + packet(b"\2Counting objects")
    + b"".join(packet(b"\1" + PACK[at : at + 5]) for at in range(0, len(PACK), 5))
    + b"0000"
)


@pytest.mark.parametrize("start", [SERVICE, b""], ids=["with the service's name", "without"])
def test_version_2_gives_out_any_commit_and_leaves_files_out_where_it_says_so(start: bytes) -> None:
    known = read_advertisement(start + VERSION_2 + b"0000")
    assert (known.version, known.filters, known.leaves_history_out) == (2, True, True)
    assert known.gives_out(COMMIT)
    asked = ask_for_commit(COMMIT, known)
    assert packet("filter blob:none\n") in asked
    assert packet("deepen 1\n") in asked


def test_version_2_without_filters_is_asked_for_everything() -> None:
    known = Advertisement(2, frozenset(), frozenset({"fetch=shallow"}))
    assert b"filter" not in ask_for_commit(COMMIT, known)
    with pytest.raises(GitRefused, match="without its history"):
        ask_for_commit(COMMIT, Advertisement(2, frozenset(), frozenset({"fetch=filter"})))


def test_files_are_asked_for_by_the_ids_of_their_content() -> None:
    known = read_advertisement(VERSION_2 + b"0000")
    asked = ask_for_files(["a" * 40, "b" * 40], known)
    assert asked.count(b"want ") == 2
    assert b"deepen" not in asked
    assert asked.endswith(packet("done\n") + b"0000")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>sign in</html>", "not Git's protocol"),
        (SERVICE + VERSION_2[:-3], "cut off"),
        (packet("# service=git-receive-pack\n"), "no Git repository"),
        (packet("version 2\n") + packet("object-format=sha256\n"), "not SHA-1"),
        (b"0003", "not Git's protocol"),
    ],
)
def test_what_is_no_repository_is_told(answer: bytes, words: str) -> None:
    with pytest.raises(GitRefused, match=words):
        read_advertisement(answer)


def whole(answer: bytes) -> bytes:
    stream = PackStream(2)
    found = stream.feed(answer)
    stream.end()
    return found


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_pack_is_the_same_in_whatever_pieces_it_comes(size: int) -> None:
    stream = PackStream(2)
    found = b"".join(stream.feed(ANSWER_2[at : at + size]) for at in range(0, len(ANSWER_2), size))
    stream.end()
    assert found == PACK


def test_version_0_says_nak_before_its_pack() -> None:
    stream = PackStream(0)
    answer = packet(f"shallow {COMMIT}") + b"0000" + packet("NAK\n") + packet(b"\1" + PACK)
    assert stream.feed(answer + b"0000") == PACK
    stream.end()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (packet("ERR not our ref\n"), "the server says: not our ref"),
        (
            packet("packfile\n") + packet(b"\3disk\x1b[31m full"),
            r"the server says: disk \[31m full",
        ),
        (packet("packfile\n") + packet(b"\7what"), "not readable"),
        (ANSWER_2[:-20], "cut off"),
        (packet("packfile\n") + b"0000", "holds no pack"),
        (packet("packfile\n") + packet(b"\1junk") + b"0000", "holds no pack"),
    ],
)
def test_an_answer_that_holds_no_whole_pack_is_refused(answer: bytes, words: str) -> None:
    with pytest.raises(GitRefused, match=words):
        whole(answer)
