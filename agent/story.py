"""Tells what happens to the agent: as conditions, Kubernetes Events, metrics and logs.

Those who do the work say what they saw; here stands what it means for whoever looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.clock import ControlPlaneClock
from agent.cluster.announce import Announcer, EventType
from agent.cluster.conditions import ConditionBoard
from agent.cluster.resource import ClusterSpec
from agent.credentials.identity import Identity
from agent.errors import AgentError
from agent.link.endings import End, Ended
from agent.metrics import AgentMetrics
from agent.reconcile.seam import EventDraft, ExtensionTally
from shared.contract.limits import CLOCK_SKEW_ALLOWED
from shared.contract.reasons import ReasonCode, Severity
from shared.contract.states import ConditionStatus, ExtensionPhase
from shared.contract.status import Condition, ConditionType

EXPIRING_FRACTION = 0.25
"""A certificate with less than this of its life left should have been renewed long ago."""
_CONNECTION_LOST = {
    End.DUPLICATE: ReasonCode.DUPLICATE_IDENTITY,
    End.REVOKED: ReasonCode.CERTIFICATE_REVOKED,
    End.EXPIRED: ReasonCode.CERTIFICATE_EXPIRED,
    End.SUSPENDED: ReasonCode.TENANT_SUSPENDED,
    End.BROKEN: ReasonCode.CONTROL_PLANE_UNREACHABLE,
}
_NEEDED_FOR_READY = (
    ConditionType.REGISTERED,
    ConditionType.CERTIFICATE_VALID,
    ConditionType.CONNECTED,
)


@dataclass
class Story:
    """One cluster's."""

    board: ConditionBoard
    announcer: Announcer
    metrics: AgentMetrics
    clock: ControlPlaneClock
    _told: dict[str, tuple[object, ...]] = field(default_factory=dict)
    _suspended: ReasonCode | None = None
    _peace: str = ""
    """What the cluster asks for, in words."""
    _refused: str | None = None
    """Why the newest desired document is not acted on."""

    def spec_seen(self, spec: ClusterSpec, generation: int) -> None:
        """The resource was read."""
        self.board.observed_generation = generation
        before, self._suspended, message = self._suspended, None, "reconciling goes on"
        if spec.suspend:
            self._suspended = ReasonCode.SUSPENDED
            message = "reconciling is suspended until spec.suspend is false"
        elif spec.not_now and spec.peace_until(self.clock.machine.now()) is not None:
            self._suspended = ReasonCode.NOT_NOW
            why = f": {spec.not_now.reason}" if spec.not_now.reason else ""
            message = f"nothing is changed before {spec.not_now.until.isoformat()}{why}"
        self._peace = message if self._suspended else ""
        if self._suspended is not before:
            reason = self._suspended or ReasonCode.PROGRESSING
            self.announcer.tell(EventType.NORMAL, reason.value, message)
        self._judge()

    def spec_invalid(self, message: str) -> None:
        """The resource cannot be used; what was in force before stays in force."""
        self.board.set(ConditionType.READY, False, ReasonCode.CLUSTER_INVALID, message)

    def labels_ignored(self, cluster: str) -> None:
        """Someone changed labels that were sent with the registration, once."""
        self.announcer.tell(
            EventType.WARNING,
            ReasonCode.CLUSTER_INVALID.value,
            "spec.labels was sent with the registration and is not sent again: change labels at"
            f" the control plane (arcbridge cluster label {cluster} KEY=VALUE)",
        )

    def identity_in_use(self, identity: Identity) -> None:
        """There is a certificate."""
        self.board.set(
            ConditionType.REGISTERED,
            True,
            ReasonCode.REGISTERED,
            f"as {identity.registration.cluster_name} of tenant {identity.registration.tenant}",
        )
        self.metrics.certificate_end.set(identity.not_after.timestamp())
        self.certificate_seen(identity)

    def no_identity(self, reason: ReasonCode, message: str, current: Identity | None) -> None:
        """There is no certificate that counts, and why."""
        kind = ConditionType.CERTIFICATE_VALID if current else ConditionType.REGISTERED
        self.board.set(kind, False, reason, message)
        self._judge()

    def condition_changed(self, condition: Condition, moved: bool) -> None:
        """Tell of a condition as an Event: good news when it is new, bad news in any case.

        Ready only sums up what the other conditions have told already, but for a bad spec.
        """
        good = condition.status is ConditionStatus.TRUE
        if (good and not moved) or (
            condition.type is ConditionType.READY
            and condition.reason is not ReasonCode.CLUSTER_INVALID
        ):
            return
        kind = EventType.NORMAL if good else EventType.WARNING
        message = condition.message or condition.reason.summary
        self.announcer.tell(kind, condition.reason.value, message)

    def certificate_seen(self, identity: Identity) -> None:
        """Judge the certificate by the time."""
        now = self.clock.presumed()
        left = identity.not_after - now
        if left <= timedelta(0):
            self.board.set(
                ConditionType.CERTIFICATE_VALID,
                False,
                ReasonCode.CERTIFICATE_EXPIRED,
                f"ended at {identity.not_after.isoformat()}; a bootstrap token renews it",
            )
        elif left < (identity.not_after - identity.not_before) * EXPIRING_FRACTION:
            self.board.set(
                ConditionType.CERTIFICATE_VALID,
                True,
                ReasonCode.CERTIFICATE_EXPIRING,
                f"ends at {identity.not_after.isoformat()} and could not be renewed yet",
            )
        else:
            self.board.set(ConditionType.CERTIFICATE_VALID, True, ReasonCode.CERTIFICATE_VALID)
        self._judge()

    def connected(self, relay: str, epoch: int) -> None:
        """The relay has welcomed the stream."""
        self.metrics.connected.set(1)
        message = f"relay {relay}, session {epoch}"
        self.board.set(ConditionType.CONNECTED, True, ReasonCode.CLUSTER_CONNECTED, message)
        self._judge()

    def stream_ended(self, ended: Ended) -> None:
        """The stream is gone; one that the relay or the agent replaces is no loss."""
        self.metrics.connected.set(0)
        self.metrics.streams_ended.labels(ended.end.value).inc()
        reason = _CONNECTION_LOST.get(ended.end)
        if reason is not None:
            self.board.set(ConditionType.CONNECTED, False, reason, ended.detail)
            self._judge()

    def noticed(self, reason: ReasonCode | None, message: str) -> None:
        """The relay said something about the agent."""
        if reason is ReasonCode.CLOCK_SKEWED:
            self.board.set(ConditionType.CLOCK_SYNCED, False, reason, message)
        elif reason is not None:
            warning = reason.severity is not Severity.INFO
            kind = EventType.WARNING if warning else EventType.NORMAL
            self.announcer.tell(kind, reason.value, message)

    def server_time(self, moment: datetime) -> None:
        """The relay's clock: it counts."""
        self._clock_compared(self.clock.vouch(moment))

    def answer_dated(self, moment: datetime) -> None:
        """The clock of whoever answered for the API: a hint."""
        self._clock_compared(self.clock.hear(moment))

    def _clock_compared(self, skew: timedelta) -> None:
        self.metrics.clock_skew.set(skew.total_seconds())
        if abs(skew) <= CLOCK_SKEW_ALLOWED:
            self.board.set(ConditionType.CLOCK_SYNCED, True, ReasonCode.CLOCK_SYNCED)
            return
        side = "ahead of" if skew > timedelta(0) else "behind"
        # Minutes: seconds would make a new message, and so a new write, of every answer.
        minutes = max(1, round(abs(skew).total_seconds() / 60))
        self.board.set(
            ConditionType.CLOCK_SYNCED,
            False,
            ReasonCode.CLOCK_SKEWED,
            f"the agent's clock is {minutes} min {side} the control plane's",
        )

    def document_judged(self, refusal: str | None) -> None:
        """The newest answer was taken, or is not acted on and why."""
        if refusal == self._refused:
            return
        self._refused = refusal
        if refusal is not None:
            reason = ReasonCode.DOCUMENT_REFUSED
            self.announcer.tell(EventType.WARNING, reason.value, self._refusal())
        self._judge()

    def _refusal(self) -> str:
        return f"the desired document is refused: {self._refused}; the one before stays in force"

    def called(self, call: str, error: AgentError | None) -> None:
        """A call to the control plane's API ended."""
        outcome = "ok" if error is None else type(error).__name__
        self.metrics.calls.labels(call, outcome).inc()

    def extension_reported(self, draft: EventDraft) -> None:
        """An extension came into another state."""
        said = (draft.phase, draft.revision, draft.reason)
        if draft.phase is ExtensionPhase.APPLYING or self._told.get(draft.extension) == said:
            return
        self._told[draft.extension] = said
        failed = draft.phase is ExtensionPhase.FAILED
        self.announcer.tell(
            EventType.WARNING if failed else EventType.NORMAL,
            draft.reason.value,
            f"extension {draft.extension} revision {draft.revision}: "
            f"{draft.message or draft.reason.summary}",
        )

    def tally_seen(self, tally: ExtensionTally) -> None:
        """How the extensions are doing."""
        for state in ("total", "ready", "failed", "drifted"):
            self.metrics.extensions.labels(state).set(getattr(tally, state))

    def _judge(self) -> None:
        """Ready is what the other conditions make of it."""
        for kind in _NEEDED_FOR_READY:
            condition = self.board.get(kind)
            if condition is None:
                self.board.set(ConditionType.READY, False, ReasonCode.PROGRESSING)
                return
            if condition.status.value != "True":
                reason, message = condition.reason, condition.message
                self.board.set(ConditionType.READY, False, reason, message)
                return
        if self._refused is not None:
            self.board.set(ConditionType.READY, False, ReasonCode.DOCUMENT_REFUSED, self._refusal())
            return
        if self._suspended is not None:
            self.board.set(ConditionType.READY, False, self._suspended, self._peace)
            return
        self.board.set(ConditionType.READY, True, ReasonCode.CLUSTER_CONNECTED)
