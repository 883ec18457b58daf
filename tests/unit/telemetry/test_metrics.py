"""Metrics keep to the naming conventions and stay bounded."""

from __future__ import annotations

import pytest

from shared.telemetry.metrics import Registry


def test_metrics_are_rendered_in_the_prometheus_text_format() -> None:
    registry = Registry()
    registry.counter("arcbridge_releases_total", "Targets released.", ["outcome"]).labels("ok").inc(
        3
    )
    registry.gauge("arcbridge_streams", "Open streams.").set(2)
    registry.histogram("arcbridge_publish_seconds", "Time to publish.").observe(0.2)
    body, content_type = registry.render()
    assert content_type.startswith("text/plain; version=")
    assert b'arcbridge_releases_total{outcome="ok"} 3.0' in body
    assert b"arcbridge_streams 2.0" in body
    assert b'arcbridge_publish_seconds_bucket{le="0.25"} 1.0' in body


def test_two_registries_do_not_see_each_other() -> None:
    first, second = Registry(), Registry()
    first.gauge("arcbridge_streams", "Open streams.").set(2)
    second.gauge("arcbridge_streams", "Open streams.").set(7)
    assert b"arcbridge_streams 7.0" in second.render()[0]
    assert b"arcbridge_streams 2.0" in first.render()[0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("counter", "arcbridge_releases"),
        ("gauge", "streams"),
        ("gauge", "arcbridge_Streams"),
        ("histogram", "arcbridge_publish_ms"),
    ],
)
def test_a_name_against_the_conventions_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        getattr(Registry(), kind)(name, "Something.")


@pytest.mark.parametrize("label", ["cluster", "tenant_id", "rollout_id", "trace_id"])
def test_a_label_with_a_value_per_cluster_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=f"label {label} is unbounded"):
        Registry().gauge("arcbridge_streams", "Open streams.", [label])
