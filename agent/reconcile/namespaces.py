"""Whether objects stay within the namespaces that the cluster allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.errors import StepFailed
from agent.reconcile.objects import ObjectKey
from shared.contract.reasons import ReasonCode

_SHOWN = 5


def forbidden(keys: Iterable[ObjectKey], allowed: frozenset[str] | None) -> list[ObjectKey]:
    """The objects outside `allowed`. A cluster-scoped object is outside every restriction."""
    if allowed is None:
        return []
    return [key for key in keys if key.namespace not in allowed]


def refuse_forbidden(
    namespace: str, keys: Iterable[ObjectKey], allowed: frozenset[str] | None
) -> None:
    """Raise StepFailed(NamespaceForbidden) unless everything is allowed."""
    if allowed is not None and namespace not in allowed:
        raise StepFailed(
            ReasonCode.NAMESPACE_FORBIDDEN,
            f"the cluster does not allow namespace {namespace}: nothing was applied",
            final=True,
        )
    found = forbidden(keys, allowed)
    if found:
        shown = ", ".join(str(key) for key in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise StepFailed(
            ReasonCode.NAMESPACE_FORBIDDEN,
            f"outside the namespaces the cluster allows: {shown}{more}; nothing was applied",
            final=True,
        )
