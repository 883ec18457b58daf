"""A source that Flux, where a cluster has it, fetches and applies."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import StringConstraints, field_validator, model_validator

from shared.contract.artifact import inside
from shared.contract.base import Digest, Duration, Name, Text, WireModel


class FluxHelmRelease(WireModel):
    """What a Flux HelmRelease is made of; its values are the extension's."""

    chart: Annotated[Text, StringConstraints(max_length=256)] = "."
    """The chart's folder in a Git repository; not for OCI, where the artifact is the chart."""

    @field_validator("chart")
    @classmethod
    def _chart_staysinside(cls, chart: str) -> str:
        return inside(chart)


class FluxKustomization(WireModel):
    """What a Flux Kustomization is made of."""

    path: Annotated[Text, StringConstraints(max_length=256)] = "."
    prune: bool = True

    @field_validator("path")
    @classmethod
    def _path_staysinside(cls, path: str) -> str:
        return inside(path)


class FluxSource(WireModel):
    """What Flux, where the cluster has it, fetches and applies; its conditions are the status.

    The revision is pinned, for the same reason that chart versions are.
    """

    url: Annotated[
        Text,
        StringConstraints(
            # Before an @ a user's name may stand (`ssh://git@…`), a password may not.
            pattern=r"^(https|oci|ssh)://([A-Za-z0-9._-]+@)?[A-Za-z0-9\[][^@?#\s]*$",
            max_length=512,
        ),
    ]
    """`oci://` makes an OCIRepository, anything else a GitRepository."""
    digest: Digest | None = None
    """Of an OCI artifact."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")] | None = (
        None
    )
    """Of a Git repository."""
    secret_ref: Name | None = None
    """A Secret in the extension's namespace with Flux's credentials for the URL."""
    interval: Duration = timedelta(minutes=10)
    helm_release: FluxHelmRelease | None = None
    kustomization: FluxKustomization | None = None

    @property
    def is_oci(self) -> bool:
        """True for an OCI artifact."""
        return self.url.startswith("oci://")

    @model_validator(mode="after")
    def _pinned_and_one_kind(self) -> Self:
        if self.is_oci and (self.digest is None or self.commit is not None):
            raise ValueError("an oci:// url needs digest, and has no commit")
        if not self.is_oci and (self.commit is None or self.digest is not None):
            raise ValueError("a Git url needs commit, and has no digest")
        if (self.helm_release is None) == (self.kustomization is None):
            raise ValueError("give exactly one of helmRelease and kustomization")
        return self
