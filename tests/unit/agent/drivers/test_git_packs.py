"""Packs on disk, and those that ask for more than they may have."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from contextlib import closing
from dataclasses import asdict
from hashlib import sha1
from pathlib import Path

import pytest

from agent.drivers.git_job import JOB, Job
from agent.drivers.git_packs import Packs
from dev.state import REPOSITORY

MIB = 1024 * 1024
BLOB = 3


def entry(content: bytes) -> bytes:
    """A file as packs hold it."""
    head, rest = (BLOB << 4) | (len(content) & 15), len(content) >> 4
    header = bytearray()
    while rest:
        header.append(head | 0x80)
        head, rest = rest & 0x7F, rest >> 7
    return bytes([*header, head]) + zlib.compress(content)


def pack(*entries: bytes) -> bytes:
    body = b"PACK\0\0\0\2" + len(entries).to_bytes(4, "big") + b"".join(entries)
    return body + sha1(body, usedforsecurity=False).digest()


def blob_id(content: bytes) -> bytes:
    whole = b"blob %d\0" % len(content) + content
    return sha1(whole, usedforsecurity=False).hexdigest().encode()


def refusal(directory: Path, limits: str) -> str:
    """What the program says of a directory, with other limits than its own."""
    job = Job("c" * 40, ".", keys=None, asked=[], complete=True)
    (directory / JOB).write_text(json.dumps(asdict(job)))
    program = "from agent.drivers import git_packs, git_unpack; from pathlib import Path"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; {limits}; git_unpack.main(Path({str(directory)!r}))"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr.strip()


def test_files_are_found_by_the_hash_of_their_content_in_any_of_several_packs(
    tmp_path: Path,
) -> None:
    long = b"two" * 1000
    (tmp_path / "0.pack").write_bytes(pack(entry(b"one"), entry(long)))
    with closing(Packs(tmp_path)) as first:
        assert blob_id(b"three") not in first
    (tmp_path / "1.pack").write_bytes(pack(entry(b"three")))
    with closing(Packs(tmp_path)) as both:
        assert both.content(blob_id(long)) == long
        assert both.content(blob_id(b"three")) == b"three"
        assert both.content(blob_id(b"four")) is None
        assert both.tree(blob_id(b"one")) is None


@pytest.mark.parametrize(
    ("entries", "limits", "words"),
    [
        (
            [entry(bytes([number]) * MIB) for number in range(5)],
            f"git_packs.INFLATED_LIMIT = {4 * MIB}",
            "the repository unpacks to more than is allowed",
        ),
        (
            [entry(bytes(256 * MIB))],
            f"git_unpack.MEMORY_LIMIT = {192 * MIB}",
            "the repository unpacks to more than is allowed",
        ),
        (
            [entry(bytes(MIB))] * 8192,
            "git_unpack.PROCESSOR_SECONDS = 1",
            "the repository takes too long to unpack",
        ),
    ],
    ids=["on disk", "in memory", "in time"],
)
def test_a_pack_that_takes_more_than_it_may_is_given_up(
    tmp_path: Path, entries: list[bytes], limits: str, words: str
) -> None:
    (tmp_path / "0.pack").write_bytes(pack(*entries))
    assert refusal(tmp_path, limits) == words
