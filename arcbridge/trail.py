"""An exported audit trail: written whole or not at all, and checked without the server.

JSON Lines: a header with the tenant and where the trail ended, then each entry as GET /events shows
it, oldest first. Kept where the database's owner cannot write, it shows what the server alone
cannot: that the whole chain was written anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from shared.contract.archive import TrailEnd
from shared.contract.base import Name, Timestamp, WireModel
from shared.contract.trail import TrailStretch, flaw

LINE_BYTES = 4 * 1024 * 1024
"""No entry is as long as this; a file with such a line is none of ours."""


class TrailError(Exception):
    """The file cannot be used; the text says why."""


class TrailHeader(WireModel):
    """The first line."""

    format: Literal["arcbridge.io/audit-trail"] = "arcbridge.io/audit-trail"
    version: Literal[1] = 1
    tenant: Name
    exported_at: Timestamp
    server: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What an export holds."""

    tenant: str
    end: TrailEnd
    """Its last good entry."""
    flaw: str | None
    """What is wrong with the entry after that; None for a whole trail."""


def write(path: Path, stretches: Iterable[TrailStretch], *, server: str, now: datetime) -> TrailEnd:
    """Write an export, for its owner only; what stood under the name is replaced at the end."""
    partial = path.with_name(f".{path.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    end = TrailEnd(sequence=0, hash="")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for number, stretch in enumerate(stretches):
                if number == 0:
                    _line(file, TrailHeader(tenant=stretch.tenant, exported_at=now, server=server))
                for event in stretch.items:
                    _line(file, event)
                    end = TrailEnd(sequence=event.sequence, hash=event.hash)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return end


def check(path: Path) -> Checked:
    """Follow an export's chain from its first entry. Raises TrailError for what is none."""
    lines = _objects(path)
    try:
        header = TrailHeader.model_validate(next(lines, {}))
    except ValidationError as error:
        raise TrailError(f"{path} is no exported audit trail") from error
    end = TrailEnd(sequence=0, hash="")
    for entry in lines:
        try:
            found = flaw(_row(header.tenant, entry), end.sequence, end.hash)
        except (KeyError, TypeError, ValueError) as error:
            found = f"entry {end.sequence + 1} cannot be read: {error!r}"
        if found is not None:
            return Checked(header.tenant, end, found)
        end = TrailEnd(sequence=entry["sequence"], hash=entry["hash"])
    return Checked(header.tenant, end, None)


def _line(file: Any, model: WireModel) -> None:
    file.write(json.dumps(model.to_wire(), ensure_ascii=False) + "\n")


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise TrailError(f"{path} is damaged: a line is not JSON") from error
            if not isinstance(found, dict):
                raise TrailError(f"{path} is no exported audit trail")
            yield found


def _row(tenant: str, wire: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as its hash sees it. What is absent on the wire is null in the trail."""
    return {
        "tenant": tenant,
        "sequence": wire["sequence"],
        "at": datetime.fromisoformat(wire["at"]),
        "actor": wire["actor"],
        "address": wire.get("address"),
        "action": wire["action"],
        "subject": wire["subject"],
        "reason": wire.get("reason"),
        "message": wire["message"],
        "data": wire["data"],
        "trace_id": wire.get("traceId"),
        "previous_hash": wire["previousHash"],
        "hash": wire["hash"],
    }
