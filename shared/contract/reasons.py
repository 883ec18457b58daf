"""Reason codes: one enum for conditions, events, incidents and runbooks.

A reason with a severity of `page` or `ticket` wakes a person and so has a runbook at
`docs/runbooks/<code>.md`; a test keeps the two in step.
"""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How much a reason matters to the person on call."""

    INFO = "info"
    TICKET = "ticket"
    PAGE = "page"


class ReasonCode(StrEnum):
    """Why a condition has its status. The value is the CamelCase code on the wire."""

    severity: Severity
    summary: str

    def __new__(cls, code: str, severity: Severity, summary: str) -> ReasonCode:
        """Build a member that is its own code and carries severity and summary."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.severity = severity
        member.summary = summary
        return member

    @property
    def runbook(self) -> str | None:
        """Path of the runbook from the project's root, or None where nobody is woken."""
        return None if self.severity is Severity.INFO else f"docs/runbooks/{self.value}.md"

    INSTALL_SUCCEEDED = ("InstallSucceeded", Severity.INFO, "The first installation is ready.")
    INSTALL_FAILED = ("InstallFailed", Severity.TICKET, "The first installation did not apply.")
    UPGRADE_SUCCEEDED = ("UpgradeSucceeded", Severity.INFO, "The upgrade is ready.")
    UPGRADE_FAILED = ("UpgradeFailed", Severity.TICKET, "The upgrade did not apply.")
    ROLLBACK_SUCCEEDED = (
        "RollbackSucceeded",
        Severity.INFO,
        "The earlier revision is ready again.",
    )
    ROLLBACK_FAILED = (
        "RollbackFailed",
        Severity.PAGE,
        "The way back to the last known good revision failed.",
    )
    UNINSTALL_SUCCEEDED = ("UninstallSucceeded", Severity.INFO, "The extension is gone.")
    UNINSTALL_FAILED = ("UninstallFailed", Severity.TICKET, "The extension could not be removed.")
    ARTIFACT_FAILED = (
        "ArtifactFailed",
        Severity.TICKET,
        "The chart or overlay could not be had, or is not what its digest says.",
    )
    CREDENTIALS_UNUSABLE = (
        "CredentialsUnusable",
        Severity.TICKET,
        "The Secret with the source's credentials is missing, or not meant for that use.",
    )
    BUILD_FAILED = ("BuildFailed", Severity.TICKET, "The chart or overlay does not render.")
    VALUES_INVALID = ("ValuesInvalid", Severity.TICKET, "The values do not fit the chart's schema.")
    DEPENDENCY_NOT_READY = (
        "DependencyNotReady",
        Severity.INFO,
        "An extension this one depends on is not ready here.",
    )
    DEPENDENT_PRESENT = (
        "DependentPresent",
        Severity.INFO,
        "An extension that depends on the one to be removed is still here.",
    )
    HEALTH_CHECK_FAILED = (
        "HealthCheckFailed",
        Severity.TICKET,
        "Applied, but a workload reports failure.",
    )
    READINESS_TIMED_OUT = (
        "ReadinessTimedOut",
        Severity.TICKET,
        "Applied, but not ready within its time.",
    )
    PROGRESS_DEADLINE_EXCEEDED = (
        "ProgressDeadlineExceeded",
        Severity.TICKET,
        "No outcome was reported within the target's deadline.",
    )
    TEST_FAILED = ("TestFailed", Severity.TICKET, "Ready, but the chart's own tests do not pass.")
    FLUX_MISSING = (
        "FluxMissing",
        Severity.TICKET,
        "The extension is of kind flux, and the cluster has no Flux.",
    )
    SECRET_STORE_MISSING = (
        "SecretStoreMissing",
        Severity.TICKET,
        "The extension refers to secrets, and the cluster has no operator that fetches them.",
    )
    PRUNE_FAILED = (
        "PruneFailed",
        Severity.TICKET,
        "An object that is no longer wanted could not be deleted.",
    )
    PRUNE_CAPPED = (
        "PruneCapped",
        Severity.TICKET,
        "More objects would be deleted in one cycle than the cap allows.",
    )
    APPLY_CONFLICT = (
        "ApplyConflict",
        Severity.TICKET,
        "Another field manager owns a field this extension sets.",
    )
    DRIFT_DETECTED = (
        "DriftDetected",
        Severity.INFO,
        "Live objects differ from what the revision renders.",
    )
    NO_DRIFT_DETECTED = (
        "NoDriftDetected",
        Severity.INFO,
        "Live objects are what the revision renders.",
    )
    DRIFT_CORRECTED = ("DriftCorrected", Severity.INFO, "Drift was set right.")
    DRIFT_CORRECTION_FAILED = (
        "DriftCorrectionFailed",
        Severity.TICKET,
        "Drift comes back, or could not be set right.",
    )
    PROGRESSING = ("Progressing", Severity.INFO, "Work is under way.")
    SUSPENDED = ("Suspended", Severity.INFO, "Reconciling is suspended on the cluster.")
    NAMESPACE_FORBIDDEN = (
        "NamespaceForbidden",
        Severity.TICKET,
        "The extension reaches beyond the namespaces the cluster allows.",
    )
    SPEC_QUARANTINED = (
        "SpecQuarantined",
        Severity.INFO,
        "The revision is quarantined and is released nowhere.",
    )
    RELEASE_OUTDATED = (
        "ReleaseOutdated",
        Severity.INFO,
        "The control plane was restored and asks for an older release: what runs is left alone.",
    )
    NOT_NOW = ("NotNow", Severity.INFO, "The cluster asked to be left alone for a while.")
    CLUSTER_OFFLINE = ("ClusterOffline", Severity.TICKET, "No heartbeat for five intervals.")
    CLUSTER_CONNECTED = ("ClusterConnected", Severity.INFO, "Heartbeats arrive.")
    CLOCK_SKEWED = ("ClockSkewed", Severity.TICKET, "The agent's clock is more than a minute off.")
    CLOCK_SYNCED = (
        "ClockSynced",
        Severity.INFO,
        "The agent's clock agrees with the control plane's.",
    )
    CERTIFICATE_VALID = ("CertificateValid", Severity.INFO, "The agent's certificate is valid.")
    CERTIFICATE_EXPIRING = (
        "CertificateExpiring",
        Severity.TICKET,
        "The agent's certificate is past its renewal time.",
    )
    CERTIFICATE_EXPIRED = (
        "CertificateExpired",
        Severity.TICKET,
        "The agent's certificate is past its end.",
    )
    CERTIFICATE_REVOKED = (
        "CertificateRevoked",
        Severity.INFO,
        "The agent's certificate was revoked by an operator.",
    )
    DUPLICATE_IDENTITY = ("DuplicateIdentity", Severity.PAGE, "Two agents use one identity.")
    REGISTERED = ("Registered", Severity.INFO, "The cluster holds a certificate.")
    REGISTRATION_REFUSED = (
        "RegistrationRefused",
        Severity.INFO,
        "The control plane refused the cluster's bootstrap token.",
    )
    PENDING_APPROVAL = (
        "PendingApproval",
        Severity.INFO,
        "The cluster has asked to join and waits for an admin: arcbridge cluster approve.",
    )
    TENANT_SUSPENDED = (
        "TenantSuspended",
        Severity.INFO,
        "The platform's operators have suspended the tenant; its clusters run on as they are.",
    )
    TOKEN_MISSING = (
        "TokenMissing",
        Severity.INFO,
        "The agent has no certificate that counts, and no bootstrap token to get one with.",
    )
    CLUSTER_INVALID = (
        "ClusterInvalid",
        Severity.INFO,
        "The ArcBridgeCluster resource cannot be used as it is.",
    )
    CONTROL_PLANE_UNREACHABLE = (
        "ControlPlaneUnreachable",
        Severity.INFO,
        "The agent cannot reach the control plane; it works on with what it holds.",
    )
    CONTROL_PLANE_UNTRUSTED = (
        "ControlPlaneUntrusted",
        Severity.INFO,
        "What answered does not hold the root that the installation pinned.",
    )
    DOCUMENT_REFUSED = (
        "DocumentRefused",
        Severity.TICKET,
        "The agent does not act on the desired document: it is incomplete, not signed, or older.",
    )
    STAGE_OPENED = ("StageOpened", Severity.INFO, "A stage's targets may now be released.")
    STAGE_PASSED = ("StagePassed", Severity.INFO, "A stage passed its gate.")
    AWAITING_APPROVAL = (
        "AwaitingApproval",
        Severity.TICKET,
        "A stage waits for a person's approval.",
    )
    FAILURE_BUDGET_EXCEEDED = (
        "FailureBudgetExceeded",
        Severity.PAGE,
        "A stage has more failures than its budget.",
    )
    SOAKING = ("Soaking", Severity.INFO, "Ready, and being watched for the soak time.")
    STAGE_ORDER = ("StageOrder", Severity.INFO, "An earlier stage has to pass first.")
    BEHIND_ROLLBACK = (
        "BehindRollback",
        Severity.INFO,
        "A rollback of the same extension goes first.",
    )
    ROLLING_BACK = ("RollingBack", Severity.INFO, "The rollout is being taken back.")
    PACED = ("Paced", Severity.INFO, "Waiting for a token of the pacing bucket.")
    PACE_RAISED = ("PaceRaised", Severity.INFO, "All goes well: an adaptive pace goes up a step.")
    SLOWED_BY_FAILURES = (
        "SlowedByFailures",
        Severity.INFO,
        "Targets failed: an adaptive pace is halved.",
    )
    SLOWED_BY_SOURCE = (
        "SlowedBySource",
        Severity.INFO,
        "Artifacts cannot be had: an adaptive pace is halved.",
    )
    SLOWED_BY_APPLY_TIME = (
        "SlowedByApplyTime",
        Severity.INFO,
        "Targets take much longer than before: an adaptive pace is halved.",
    )
    SLOWED_BY_LAG = (
        "SlowedByLag",
        Severity.INFO,
        "The control plane itself is late: an adaptive pace is halved.",
    )
    CONCURRENCY_REACHED = (
        "ConcurrencyReached",
        Severity.INFO,
        "As many targets are in flight as the stage allows.",
    )
    FREEZE_ACTIVE = ("FreezeActive", Severity.INFO, "A freeze is in force: nothing is released.")
    WINDOW_CLOSED = (
        "WindowClosed",
        Severity.INFO,
        "No window is open: releases wait for the next one.",
    )
    ROLLOUT_PAUSED = ("RolloutPaused", Severity.INFO, "The rollout is paused.")
    ROLLOUT_SUPERSEDED = (
        "RolloutSuperseded",
        Severity.INFO,
        "A newer rollout of the extension took over.",
    )
    ROLLOUT_CANCELLED = ("RolloutCancelled", Severity.INFO, "An operator cancelled the rollout.")
    ROLLOUT_SUCCEEDED = ("RolloutSucceeded", Severity.INFO, "Every target that counts succeeded.")
    ROLLOUT_FAILED = (
        "RolloutFailed",
        Severity.TICKET,
        "The rollout ended without reaching its goal.",
    )
    ROLLED_BACK = (
        "RolledBack",
        Severity.INFO,
        "Every target is back on its own last known good revision.",
    )
    TARGET_REVERTED = (
        "TargetReverted",
        Severity.INFO,
        "A failed target went back to its own last known good revision.",
    )
