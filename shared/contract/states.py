"""The states of things, as they appear on the wire and in the database."""

from __future__ import annotations

from enum import StrEnum


class RevisionState(StrEnum):
    """A revision of an extension."""

    CANDIDATE = "Candidate"
    GOOD = "Good"
    QUARANTINED = "Quarantined"
    SUPERSEDED = "Superseded"


class RolloutKind(StrEnum):
    """Why a rollout was made."""

    PUBLISH = "publish"
    """An operator published a revision."""
    PLACEMENT = "placement"
    """Clusters came under, or left, an extension's placement, or their overrides changed."""
    ROLLBACK = "rollback"
    """Each target goes to its own last known good revision."""
    DELETE = "delete"
    """The extension is removed through tombstones."""


class RolloutState(StrEnum):
    """One operation that moves a set of targets to a revision."""

    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    AWAITING_APPROVAL = "AwaitingApproval"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    CANCELLED = "Cancelled"

    @property
    def is_over(self) -> bool:
        """True once nothing more happens in this rollout."""
        return self in _OVER


_OVER = frozenset(
    {
        RolloutState.SUCCEEDED,
        RolloutState.FAILED,
        RolloutState.ROLLED_BACK,
        RolloutState.SUPERSEDED,
        RolloutState.CANCELLED,
    }
)


class TargetState(StrEnum):
    """One cluster in one rollout."""

    TO_APPLY = "ToApply"
    RELEASED = "Released"
    APPLYING = "Applying"
    VERIFYING = "Verifying"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    SKIPPED = "Skipped"

    @property
    def is_in_flight(self) -> bool:
        """True while the target holds one of its stage's concurrent places."""
        return self in (TargetState.RELEASED, TargetState.APPLYING, TargetState.VERIFYING)

    @property
    def is_failure(self) -> bool:
        """True for what counts against the failure budget."""
        return self in (TargetState.FAILED, TargetState.TIMED_OUT)


class SkipReason(StrEnum):
    """Why a target stands outside its rollout's failure budget."""

    OFFLINE = "Offline"
    NOT_NOW = "NotNow"
    DEREGISTERED = "Deregistered"


class ConnectionState(StrEnum):
    """A cluster, as the control plane sees it."""

    PENDING = "Pending"
    CONNECTED = "Connected"
    OFFLINE = "Offline"
    EXPIRED = "Expired"
    REVOKED = "Revoked"
    DEREGISTERED = "Deregistered"


class ExtensionPhase(StrEnum):
    """What an agent says of one extension on its cluster."""

    APPLYING = "Applying"
    READY = "Ready"
    FAILED = "Failed"
    REMOVED = "Removed"


class DriftKind(StrEnum):
    """What drifted."""

    VERSION = "version"
    MANIFEST = "manifest"
    SILENCE = "silence"


class ConditionStatus(StrEnum):
    """The status of a Kubernetes condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Role(StrEnum):
    """What a person or service may do in a tenant; each includes the ones before it but for
    `responder`, which stands beside `operator`."""

    READER = "reader"
    RESPONDER = "responder"
    OPERATOR = "operator"
    ADMIN = "admin"
    PLATFORM_ADMIN = "platform-admin"
