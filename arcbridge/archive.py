"""The file that a tenant is exported to: written whole or not at all, read only when whole.

JSON Lines; `shared.contract.archive` says what the lines are. Files are read line by line, so that
a tenant of any size needs the memory of its longest record. The checksum finds damage, not intent:
keep the files where only those can write who may.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pydantic import ValidationError

from shared.contract.archive import (
    FORMAT,
    VERSION,
    ArchiveEnd,
    ArchiveHeader,
    ArchiveKind,
    ArchiveRecord,
)
from shared.contract.base import WireModel

LINE_BYTES: Final = 4 * 1024 * 1024
"""No record is as long as this; a file with such a line is none of ours."""


M = TypeVar("M", bound=WireModel)


class ArchiveError(Exception):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that was found whole."""

    path: Path
    header: ArchiveHeader
    end: ArchiveEnd

    def records(self) -> Iterator[ArchiveRecord]:
        """Every record, in order."""
        with self.path.open("rb") as file:
            file.readline(LINE_BYTES)
            for _ in range(sum(self.end.counts.values())):
                yield ArchiveRecord.model_validate_json(file.readline(LINE_BYTES))


class Writer:
    """Writes beside the file and puts it in its place at the end; on an error nothing is left."""

    def __init__(self, path: Path, header: ArchiveHeader) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        # Names, labels and messages of a tenant are nobody else's business on a shared machine.
        handle = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()
        self._counts: Counter[ArchiveKind] = Counter()
        self._put(header)

    def add(self, record: ArchiveRecord) -> None:
        """The next record."""
        self._put(record)
        self._counts[record.kind] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._file.close()
            self._partial.unlink()
            return
        self._put(ArchiveEnd(counts=dict(self._counts), sha256=self._hash.hexdigest()))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)

    def _put(self, line: WireModel) -> None:
        text = json.dumps(line.model_dump(mode="json", by_alias=True), ensure_ascii=False)
        content = text.encode() + b"\n"
        self._hash.update(content)
        self._file.write(content)


def check(path: Path) -> Archive:
    """Read a file from end to end. Raises ArchiveError, and OSError."""
    hashed = hashlib.sha256()
    counts: Counter[ArchiveKind] = Counter()
    with path.open("rb") as file:
        line = _line(file)
        header = _header(line)
        kinds = list(ArchiveKind)
        newest = 0
        while True:
            hashed.update(line)
            line = _line(file)
            fields = _object(line)
            if "sha256" in fields:
                end = _model(ArchiveEnd, line)
                break
            record = _model(ArchiveRecord, line)
            if kinds.index(record.kind) < newest:
                raise ArchiveError(f"{path} is damaged: its records are out of order")
            newest = kinds.index(record.kind)
            counts[record.kind] += 1
        if file.read(1):
            raise ArchiveError(f"{path} is damaged: it goes on after its end")
    if hashed.hexdigest() != end.sha256:
        raise ArchiveError(f"{path} is damaged: its checksum does not fit its content")
    if dict(counts) != {kind: count for kind, count in end.counts.items() if count}:
        raise ArchiveError(f"{path} is damaged: records are missing")
    return Archive(path, header, end)


def _line(file: BufferedReader) -> bytes:
    line = file.readline(LINE_BYTES)
    if not line.endswith(b"\n"):
        what = "it is cut off" if len(line) < LINE_BYTES else "a line is longer than any record"
        raise ArchiveError(f"{file.name} is damaged, or no tenant's archive: {what}")
    return line


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ArchiveError(f"the file is damaged, or no tenant's archive: {error}") from error
    if not isinstance(found, dict):
        raise ArchiveError("the file is damaged, or no tenant's archive: a line is no object")
    return found


def _header(line: bytes) -> ArchiveHeader:
    fields = _object(line)
    if fields.get("format") != FORMAT:
        raise ArchiveError(f"the file is no tenant's archive: its first line does not say {FORMAT}")
    version = fields.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ArchiveError(
            f"the file has format {version}, and this release reads up to {VERSION}: "
            "use the release that wrote it, or a newer one"
        )
    return _model(ArchiveHeader, line)


def _model(model: type[M], line: bytes) -> M:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise ArchiveError(f"the file is damaged: {where}: {first['msg']}") from error
