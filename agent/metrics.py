"""The agent's numbers, in Prometheus's conventions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.telemetry.metrics import Registry

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge


@dataclass
class AgentMetrics:
    """Made once per process."""

    registry: Registry = field(default_factory=Registry)

    def __post_init__(self) -> None:
        new = self.registry
        self.leading: Gauge = new.gauge("arcbridge_agent_leading", "1 on the leading replica.")
        self.connected: Gauge = new.gauge(
            "arcbridge_agent_connected", "1 while the relay has welcomed this agent's stream."
        )
        self.streams_ended: Counter = new.counter(
            "arcbridge_agent_streams_ended_total", "Streams that ended, by why.", ("end",)
        )
        self.heartbeats: Counter = new.counter(
            "arcbridge_agent_heartbeats_total", "Heartbeats sent."
        )
        self.calls: Counter = new.counter(
            "arcbridge_agent_calls_total",
            "Calls to the control plane's API, by call and outcome.",
            ("call", "outcome"),
        )
        self.events_reported: Counter = new.counter(
            "arcbridge_agent_events_reported_total", "Status events that became durable."
        )
        self.events_pending: Gauge = new.gauge(
            "arcbridge_agent_events_pending", "Status events that wait to be acknowledged."
        )
        self.journal_writable: Gauge = new.gauge(
            "arcbridge_agent_journal_writable", "0 while the journal's disk refuses writes."
        )
        self.certificate_end: Gauge = new.gauge(
            "arcbridge_agent_certificate_not_after_timestamp_seconds",
            "End of the certificate's life, in Unix seconds.",
        )
        self.clock_skew: Gauge = new.gauge(
            "arcbridge_agent_clock_skew_seconds", "The agent's clock less the control plane's."
        )
        self.extensions: Gauge = new.gauge(
            "arcbridge_agent_extensions", "Extensions on this cluster, by state.", ("state",)
        )
