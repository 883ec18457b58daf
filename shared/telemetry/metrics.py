"""Prometheus metrics: a registry of one's own, and names that keep to the conventions.

A part makes one `Registry` in its main and hands it to those who count. No process-wide registry
is used, so tests never see each other's numbers. Names start with `arcbridge_`, counters end with
`_total`, and the unit is the last word of the rest (https://prometheus.io/docs/practices/naming/).
A label that can take as many values as there are clusters is refused: such a metric costs more
memory than the thing it measures; logs and traces carry ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_SECONDS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
_NAME = re.compile(r"arcbridge_[a-z][a-z0-9_]*[a-z0-9]")
_UNBOUNDED_LABELS = frozenset({
    "cluster", "cluster_id", "cluster_name", "tenant", "tenant_id", "extension", "rollout",
    "rollout_id", "revision", "digest", "user", "subject", "trace_id", "path", "url", "address",
})  # fmt: skip


class Registry:
    """The metrics of one process."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry

        self._registry: CollectorRegistry = CollectorRegistry()

    def counter(self, name: str, description: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows; the name ends with `_total`."""
        from prometheus_client import Counter

        if not name.endswith("_total"):
            raise ValueError(f"counter {name} does not end with _total")
        return Counter(_checked(name, labels), description, labels, registry=self._registry)

    def gauge(self, name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        from prometheus_client import Gauge

        return Gauge(_checked(name, labels), description, labels, registry=self._registry)

    def histogram(
        self,
        name: str,
        description: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = LATENCY_BUCKETS_SECONDS,
    ) -> Histogram:
        """A distribution, by default of seconds (the name then ends with `_seconds`)."""
        from prometheus_client import Histogram

        if buckets is LATENCY_BUCKETS_SECONDS and not name.endswith("_seconds"):
            raise ValueError(f"histogram {name} does not end with _seconds")
        return Histogram(
            _checked(name, labels), description, labels, registry=self._registry, buckets=buckets
        )

    def render(self) -> tuple[bytes, str]:
        """All of them in the Prometheus text format, and its content type."""
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_1_0_0


def _checked(name: str, labels: Sequence[str]) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"metric {name} is not named arcbridge_<words>")
    unbounded = _UNBOUNDED_LABELS.intersection(labels)
    if unbounded:
        raise ValueError(f"metric {name}: label {min(unbounded)} is unbounded")
    return name
