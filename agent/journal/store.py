"""The journal's file: SQLite in WAL mode with a sync at each commit, so that kill -9 or a power
cut loses nothing that was said to be kept.

A file that cannot be read is put aside and a new one begun: everything in it can be had again,
the document from the control plane and the state of each extension from the cluster. Synchronous;
`agent.journal.journal` keeps it off the event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import AgentError
from agent.journal.queries import load_queries
from agent.lease.record import Term
from shared.contract.status import StatusEvent
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

FILE_NAME = "journal.sqlite3"
_QUERIES = load_queries()
_BUSY_SECONDS = 10.0


class JournalUnwritable(AgentError):
    """The disk is full or broken; what was kept before is intact."""


@dataclass(frozen=True)
class JournalLimits:
    """How much may wait to be acknowledged."""

    events: int = 2000
    """Above this, superseded events go; the newest of each extension never does."""
    bytes: int = 16 * 1024 * 1024
    """The same for the events' size."""


@dataclass(frozen=True)
class Totals:
    """What waits to be acknowledged."""

    events: int
    bytes: int


class JournalStore:
    """One open journal file. Its directory belongs to one process (`agent.statedir`)."""

    def __init__(self, directory: Path, limits: JournalLimits) -> None:
        self._limits = limits
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.was_damaged = False
        self._db = self._open(directory / FILE_NAME)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def get(self, name: str) -> str | None:
        """One remembered value."""
        row = self._db.execute(_QUERIES["get_state"], {"name": name}).fetchone()
        return None if row is None else str(row["value"])

    def put(self, name: str, value: str) -> None:
        """Remember a value durably. Raises JournalUnwritable; the one before then stays."""
        with self._transaction():
            self._db.execute(_QUERIES["put_state"], {"name": name, "value": value})

    def next_sequence(self) -> int:
        """The sequence of the next event."""
        return int(self.get("sequence") or 0) + 1

    def append(self, event: StatusEvent) -> int:
        """Keep an event durably; returns how many superseded ones went for it."""
        text = event.model_dump_json(exclude_none=True)
        with self._transaction():
            self._db.execute(
                _QUERIES["add_event"],
                {
                    "sequence": event.sequence,
                    "extension": event.extension,
                    "phase": event.phase.value,
                    "has_drift": int(event.drift is not None),
                    "bytes": len(text),
                    "event": text,
                },
            )
            values = {"name": "sequence", "value": str(event.sequence)}
            self._db.execute(_QUERIES["put_state"], values)
            return self._make_room()

    def pending(self, count: int) -> list[StatusEvent]:
        """The oldest events that wait, in order."""
        rows = self._db.execute(_QUERIES["pending"], {"count": count}).fetchall()
        return [StatusEvent.model_validate_json(row["event"]) for row in rows]

    def acknowledge(self, sequence: int) -> None:
        """Forget every event up to `sequence`."""
        highest = max(sequence, int(self.get("acknowledged") or 0))
        with self._transaction():
            self._db.execute(_QUERIES["acknowledge"], {"sequence": sequence})
            values = {"name": "acknowledged", "value": str(highest)}
            self._db.execute(_QUERIES["put_state"], values)

    def drop(self, sequence: int) -> None:
        """Forget one event that will never be taken."""
        with self._transaction():
            self._db.execute(_QUERIES["drop_event"], {"sequence": sequence})

    def begin_term(self, term: Term) -> bool:
        """Take the journal up under a lease of this term; whether its content still counts: it
        does unless another replica led in between."""
        last = self.get("term")
        counts = last is None or term.follows(Term.read(last))
        with self._transaction():
            if not counts:
                self._db.execute(_QUERIES["forget_events"])
                self._db.execute(_QUERIES["put_state"], {"name": "document", "value": ""})
                # What the other one had acknowledged is counted otherwise.
                self._db.execute(_QUERIES["put_state"], {"name": "acknowledged", "value": "0"})
            self._db.execute(_QUERIES["put_state"], {"name": "term", "value": term.to_text()})
        return counts

    def totals(self) -> Totals:
        """How much waits."""
        row = self._db.execute(_QUERIES["totals"]).fetchone()
        return Totals(events=row["events"], bytes=row["bytes"])

    def _make_room(self) -> int:
        totals = self.totals()
        events, size, dropped = totals.events, totals.bytes, 0
        if events <= self._limits.events and size <= self._limits.bytes:
            return 0
        for row in self._db.execute(_QUERIES["superseded"]).fetchall():
            if events <= self._limits.events and size <= self._limits.bytes:
                break
            self._db.execute(_QUERIES["drop_event"], {"sequence": row["sequence"]})
            events, size, dropped = events - 1, size - row["bytes"], dropped + 1
        return dropped

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise JournalUnwritable(f"the journal cannot be written: {error}") from error

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            return _connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise JournalUnwritable(f"the journal cannot be opened: {error}") from error
            log.warning("journal is damaged, a new one is begun", error=str(error))
            self.was_damaged = True
            for suffix in ("", "-wal", "-shm"):
                file = path.with_name(path.name + suffix)
                if file.exists():
                    file.replace(path.with_name(f"damaged-{path.name}{suffix}"))
            return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        found: Any = db.execute("pragma quick_check").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        db.executescript(_QUERIES["schema"])
        _read_back(db)
    except BaseException:
        db.close()
        raise
    return db


def _read_back(db: sqlite3.Connection) -> None:
    """Pages may be whole and their content not: every event must be readable."""
    for row in db.execute(_QUERIES["pending"], {"count": -1}):
        try:
            StatusEvent.model_validate_json(row["event"])
        except ValueError as error:
            raise sqlite3.DatabaseError("an event is not readable") from error
