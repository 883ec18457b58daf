"""A tenant as a file: everything that is declared, who belongs to it, and its audit trail.

The file is JSON Lines: a header, one line for each record in the order of `ArchiveKind`, and an end
with the number of each kind and the SHA-256 of every byte before it. A record is a stored row
without the tenant's name. Not in it, because it comes again or is over: heartbeats, inventories,
raw reports, bootstrap tokens, answers kept for a repeated request. There is no secret in it:
private keys never leave clusters, and extensions only refer to secrets.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, StringConstraints

from shared.contract.base import Name, Text, Timestamp, WireModel
from shared.contract.limits import RECORDS_PER_IMPORT
from shared.contract.tenant import Quotas

FORMAT: Final = "arcbridge.io/tenant-archive"
VERSION: Final = 1
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ArchiveKind(StrEnum):
    """What a record is, in the order of the file: nothing refers to what comes after it."""

    CLUSTERS = "clusters"
    CERTIFICATES = "certificates"
    SESSIONS = "sessions"
    EXTENSIONS = "extensions"
    REVISIONS = "revisions"
    RESOLVED_SPECS = "resolved_specs"
    FREEZES = "freezes"
    ARTIFACT_POLICIES = "artifact_policies"
    JOINING_POLICIES = "joining_policies"
    ROLLOUTS = "rollouts"
    ROLLOUT_STAGES = "rollout_stages"
    ROLLOUT_TARGETS = "rollout_targets"
    ASSIGNMENTS = "assignments"
    KNOWN_GOOD = "known_good"
    RECONSIDERATIONS = "reconsiderations"
    DRIFTS = "drifts"
    EVENTS = "events"


class TrailEnd(WireModel):
    """Where an audit trail ends: an empty one at 0."""

    sequence: Annotated[int, Field(ge=0)]
    hash: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class ArchiveRecord(WireModel):
    """One row."""

    kind: ArchiveKind
    record: dict[Text, JsonValue]


class ArchivePage(WireModel):
    """A stretch of an export; the tenant stood still when the trail's end is the same on each."""

    tenant: Name
    created_at: Timestamp
    quotas: Quotas
    trail: TrailEnd
    items: tuple[ArchiveRecord, ...]
    next_cursor: str | None = None


class ArchiveHeader(WireModel):
    """The first line of the file."""

    format: Literal["arcbridge.io/tenant-archive"] = FORMAT
    version: Annotated[int, Field(ge=1)] = VERSION
    tenant: Name
    created_at: Timestamp
    quotas: Quotas
    trail: TrailEnd
    exported_at: Timestamp
    server: str
    """Where it was exported from."""


class ArchiveEnd(WireModel):
    """The last line of the file."""

    counts: dict[ArchiveKind, Annotated[int, Field(ge=0)]]
    sha256: Sha256
    """Of every byte before this line."""


class ImportRequest(WireModel):
    """The body of POST /tenants/{name}/import: begin, or go on with, the import of one file."""

    sha256: Sha256
    created_at: Timestamp
    quotas: Quotas
    trail: TrailEnd


class ImportBatch(WireModel):
    """The body of POST /tenants/{name}/import/records, in the order of the file."""

    sha256: Sha256
    records: Annotated[tuple[ArchiveRecord, ...], Field(max_length=RECORDS_PER_IMPORT)]


class ImportedBatch(WireModel):
    """How many of a batch were put in, and how many stood there already, the same."""

    added: int
    present: int


class ImportEnd(WireModel):
    """The body of POST /tenants/{name}/import/finish."""

    sha256: Sha256
    counts: dict[ArchiveKind, Annotated[int, Field(ge=0)]]
    trail: TrailEnd
