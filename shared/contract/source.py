"""Where an extension comes from: a chart, an overlay, or what Flux fetches."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from shared.contract.artifact import CredentialsReference
from shared.contract.base import WireModel
from shared.contract.flux_source import FluxSource
from shared.contract.helm_source import HelmSource
from shared.contract.kustomize_source import KustomizeSource


class Source(WireModel):
    """Exactly one of helm, kustomize and flux."""

    helm: HelmSource | None = None
    kustomize: KustomizeSource | None = None
    flux: FluxSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(source is not None for source in (self.helm, self.kustomize, self.flux)) != 1:
            raise ValueError("give exactly one of helm, kustomize and flux")
        return self

    @property
    def credentials_ref(self) -> CredentialsReference | None:
        """Which credentials the agent fetches it with; Flux has a reference of its own."""
        for source in (self.helm, self.kustomize):
            if source is not None:
                return source.credentials_ref
        return None

    @property
    def takes_values(self) -> bool:
        """True where `values` and `overrides` mean something."""
        return self.helm is not None or (
            self.flux is not None and self.flux.helm_release is not None
        )

    @property
    def origin(self) -> str | None:
        """What `pace.perSource` counts by: the repository's address, or None for inline sources."""
        if self.flux is not None:
            return self.flux.url
        if self.kustomize is not None:
            return self.kustomize.origin
        return self.helm.repo if self.helm else None
