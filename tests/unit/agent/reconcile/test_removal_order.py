"""In which order everything is taken away."""

from __future__ import annotations

from agent.reconcile.engine import dependents_first
from agent.reconcile.record import ExtensionRecord, SourceKind


def record(name: str, *depends_on: str) -> ExtensionRecord:
    return ExtensionRecord(
        extension=name, source=SourceKind.HELM, namespace="shop", depends_on=depends_on
    )


def order(*records: ExtensionRecord) -> list[str]:
    return [each.extension for each in dependents_first(records)]


def test_nothing_goes_before_what_depends_on_it() -> None:
    given = (record("issuer", "cert-manager"), record("cert-manager"), record("web", "issuer"))
    assert order(*given) == ["web", "issuer", "cert-manager"]


def test_a_dependency_that_is_not_there_holds_nothing_up() -> None:
    assert order(record("web", "gone"), record("alone")) == ["alone", "web"]


def test_a_cycle_is_cut() -> None:
    assert sorted(order(record("a", "b"), record("b", "a"))) == ["a", "b"]
