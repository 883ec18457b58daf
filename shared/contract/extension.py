"""The Extension resource: what an operator declares once for many clusters."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)

from shared.contract.base import (
    Duration,
    Name,
    ObjectMeta,
    Reason,
    Text,
    WireModel,
)
from shared.contract.cel_text import too_complex
from shared.contract.placement import LabelSelector, Placement
from shared.contract.secret_reference import SecretReference
from shared.contract.source import Source
from shared.contract.strategy import RolloutStrategy

_POINTER = r"^(/([^~/]|~[01])*)+$"

_HELM_NAME_MAX = 53
"""Characters in the name of a Helm release, as `helm install` checks it."""

Values = dict[str, JsonValue]


class Override(WireModel):
    """Values for the clusters that match; later overrides win."""

    match: LabelSelector
    values: Values


class DriftTarget(WireModel):
    """Which objects a rule is for; absent fields match anything."""

    group: str | None = None
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None


def _simple_enough(text: str) -> str:
    if wrong := too_complex(text):
        raise ValueError(f"the expression {wrong}")
    return text


Expression = Annotated[
    Text, StringConstraints(min_length=1, max_length=1024), AfterValidator(_simple_enough)
]
"""CEL over the object's fields: `status.phase == 'Ready'`. At most two loops in each other."""


class ReadinessCheck(WireModel):
    """When a kind that does not follow the conventions is ready, in CEL (cel.dev).

    `apiVersion`, `kind`, `metadata`, `spec` and `status` are the object's own. It is asked once the
    controller has seen the newest generation, and takes the place of what kstatus would say.
    """

    target: DriftTarget
    current: Expression
    failed: Expression | None = None


class Readiness(WireModel):
    """How long the agent waits for the objects of the extension to be Current."""

    timeout: Duration = timedelta(minutes=5)
    checks: Annotated[tuple[ReadinessCheck, ...], Field(max_length=16)] = ()


class DriftMode(StrEnum):
    """What happens on drift."""

    OFF = "off"
    WARN = "warn"
    CORRECT = "correct"


class DriftIgnore(WireModel):
    """Fields that may differ: RFC 6901 pointers on matching objects."""

    target: DriftTarget = DriftTarget()
    paths: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=_POINTER)], ...],
        Field(min_length=1, max_length=64),
    ]


class DriftPolicy(WireModel):
    """How drift is watched for."""

    mode: DriftMode = DriftMode.WARN
    interval: Duration = timedelta(minutes=10)
    ignore: Annotated[tuple[DriftIgnore, ...], Field(max_length=64)] = ()

    @field_validator("interval")
    @classmethod
    def _not_too_often(cls, interval: timedelta) -> timedelta:
        if interval < timedelta(seconds=1):
            raise ValueError("drift.interval must be at least 1s")
        return interval


class ResolvedSpec(WireModel):
    """What one cluster gets: overrides flattened, hashed, and from then on immutable."""

    source: Source
    namespace: Name
    values: Values = Field(default_factory=dict)
    secrets: Annotated[tuple[SecretReference, ...], Field(max_length=32)] = ()
    """References only: the cluster's own operator fetches what they stand for."""
    service_account: Name | None = None
    """A ServiceAccount in `namespace` in whose name everything is applied; its rights bound what
    the extension may touch. None leaves it to the agent's own."""
    depends_on: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    readiness: Readiness = Readiness()
    drift: DriftPolicy = DriftPolicy()

    @field_validator("secrets")
    @classmethod
    def _each_name_once(cls, secrets: tuple[SecretReference, ...]) -> tuple[SecretReference, ...]:
        names = [secret.name for secret in secrets]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two secrets are called {twice!r}: give each its own name")
        return secrets


class ExtensionSpec(ResolvedSpec):
    """What an operator declares."""

    placement: Placement
    overrides: Annotated[tuple[Override, ...], Field(max_length=64)] = ()
    rollout: RolloutStrategy = RolloutStrategy()

    @model_validator(mode="after")
    def _values_need_helm(self) -> Self:
        if not self.source.takes_values and (self.values or self.overrides):
            raise ValueError(
                "values and overrides are for helm sources; a kustomize overlay has patches"
            )
        return self


class ExtensionManifest(WireModel):
    """The body of POST /desired, in the Kubernetes shape."""

    api_version: Literal["arcbridge.io/v1"] = "arcbridge.io/v1"
    kind: Literal["Extension"] = "Extension"
    metadata: ObjectMeta
    spec: ExtensionSpec
    reason: Reason | None = None
    """Why: kept with the revision and in the audit trail."""

    @model_validator(mode="after")
    def _helm_can_name_its_release(self) -> Self:
        name = self.metadata.name
        if self.spec.source.helm is not None and len(name) > _HELM_NAME_MAX:
            raise ValueError(
                f"metadata.name: {name!r} has {len(name)} characters; Helm takes at most "
                f"{_HELM_NAME_MAX} in the name of a release: choose a shorter one"
            )
        return self


def merge_values(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge Helm values: objects merge by key, everything else is replaced.

    The same rule as `helm --values` given twice; null stays, because to Helm it means "without
    the chart's default".
    """
    merged = dict(base)
    for key, value in over.items():
        current = merged.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            merged[key] = merge_values(current, value)
        else:
            merged[key] = value
    return merged
