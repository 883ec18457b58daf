"""The relay's numbers, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.telemetry.metrics import Registry

_FLUSH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class RelayMetrics:
    """All of them; no label can take as many values as there are clusters."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.streams = registry.gauge("arcbridge_relay_streams", "Open streams.")
        self.waiting = registry.gauge(
            "arcbridge_relay_streams_waiting", "Streams that wait for their epoch."
        )
        self.connects = registry.counter(
            "arcbridge_relay_connects_total", "Streams that were granted an epoch."
        )
        self.refusals = registry.counter(
            "arcbridge_relay_refusals_total", "Streams that were refused, by code.", ("code",)
        )
        self.endings = registry.counter(
            "arcbridge_relay_endings_total", "Streams that ended, by reason.", ("reason",)
        )
        self.takeovers = registry.counter(
            "arcbridge_relay_takeovers_total", "Epochs granted while another instance was alive."
        )
        self.heartbeats = registry.counter(
            "arcbridge_relay_heartbeats_total", "Heartbeats that arrived."
        )
        self.flushed = registry.counter(
            "arcbridge_relay_heartbeats_flushed_total",
            "Heartbeats handed on after coalescing, by where to.",
            ("to",),
        )
        self.flush_failures = registry.counter(
            "arcbridge_relay_flush_failures_total",
            "Flushes that did not succeed, by where to.",
            ("to",),
        )
        self.flush_seconds = registry.histogram(
            "arcbridge_relay_flush_seconds",
            "Time to hand on one batch of heartbeats, by where to.",
            ("to",),
            _FLUSH_BUCKETS,
        )
        self.inventories = registry.counter(
            "arcbridge_relay_inventories_total",
            "Inventories, by form and outcome.",
            ("form", "outcome"),
        )
        self.wakeups = registry.counter(
            "arcbridge_relay_wakeups_total", "Agents that were told to look, by why.", ("topic",)
        )
        self.outbox_sent = registry.counter(
            "arcbridge_relay_outbox_sent_total", "Wake-ups this relay took out of the outbox."
        )
        self.renewals = registry.counter(
            "arcbridge_relay_renewals_total", "Certificate renewals, by outcome.", ("outcome",)
        )
        self.subscribed = registry.gauge(
            "arcbridge_relay_subscribed", "1 while wake-ups from Redis arrive."
        )
        self.fencing_lag = registry.gauge(
            "arcbridge_relay_fencing_lag_seconds",
            "Seconds since revocations were last looked up with success.",
        )
        self.certificate_not_after = registry.gauge(
            "arcbridge_relay_certificate_not_after_timestamp_seconds",
            "End of the relay's own certificate, seconds since 1970.",
        )
