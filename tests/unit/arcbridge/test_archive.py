from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arcbridge.archive import ArchiveError, Writer, check
from shared.contract.archive import ArchiveHeader, ArchiveKind, ArchiveRecord, TrailEnd
from shared.contract.tenant import Quotas

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HEADER = ArchiveHeader(
    tenant="acme",
    created_at=NOON,
    quotas=Quotas(),
    trail=TrailEnd(sequence=0, hash=""),
    exported_at=NOON,
    server="https://arcbridge.example.org",
)
RECORDS = [
    ArchiveRecord(kind=ArchiveKind.CLUSTERS, record={"name": "eu-1", "nested": {"none": None}}),
    ArchiveRecord(kind=ArchiveKind.EXTENSIONS, record={"name": "web – naïve", "number": 1.5}),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "acme.jsonl"
    with Writer(path, HEADER) as writer:
        for record in RECORDS:
            writer.add(record)
    return path


def test_what_was_written_is_read_back(file: Path) -> None:
    whole = check(file)
    assert whole.header == HEADER
    assert list(whole.records()) == RECORDS
    assert whole.end.counts == {ArchiveKind.CLUSTERS: 1, ArchiveKind.EXTENSIONS: 1}


def test_only_its_owner_may_read_it(file: Path) -> None:
    assert file.stat().st_mode & 0o077 == 0


def test_an_export_that_fails_leaves_the_file_before_it_alone(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(RuntimeError), Writer(file, HEADER):
        raise RuntimeError
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def with_checksum(lines: list[bytes]) -> bytes:
    content = b"".join(lines)
    end = '{"counts": {"clusters": 1, "extensions": 1}, "sha256": "SUM"}\n'
    return content + end.replace("SUM", hashlib.sha256(content).hexdigest()).encode()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda lines: b"".join(lines)[:-40], "cut off"),
        (lambda lines: b"".join(lines[:-1]), "cut off"),
        (lambda lines: b"".join(lines).replace(b"eu-1", b"eu-2"), "checksum"),
        (lambda lines: b"".join(lines) + b"{}\n", "goes on after its end"),
        (lambda lines: with_checksum(lines[:2]), "records are missing"),
        (lambda lines: with_checksum([lines[0], lines[2], lines[1]]), "out of order"),
        (lambda lines: with_checksum([lines[0], b'{"kind": "unheard", "record": {}}\n']), "kind"),
        (lambda lines: with_checksum([lines[0], b"[]\n"]), "no object"),
        (lambda lines: b"<html>\n", "no tenant's archive"),
        (lambda lines: b"", "cut off"),
        (
            lambda lines: b"".join(lines).replace(b'"version": 1', b'"version": 2'),
            "has format 2, and this release reads up to 1",
        ),
    ],
)
def test_a_file_that_is_not_whole_or_is_newer_is_refused(
    file: Path, damage: object, says: str
) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(damage(lines))  # type: ignore[operator] # one of the functions above
    with pytest.raises(ArchiveError, match=says):
        check(file)
