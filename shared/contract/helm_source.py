"""A source that helm installs: a chart."""

from __future__ import annotations

import base64
import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from shared.contract.artifact import CredentialsReference, Verification
from shared.contract.base import Digest, Text, WireModel
from shared.contract.canonical import digest_bytes

_EXACT_VERSION = re.compile(r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


class HelmArchive(WireModel):
    """A chart archive (`.tgz`) carried in the document itself."""

    content: Annotated[str, StringConstraints(max_length=240 * 1024)]
    """Base64 of the archive."""
    digest: Digest

    @model_validator(mode="after")
    def _digest_fits(self) -> Self:
        try:
            raw = base64.b64decode(self.content, validate=True)
        except ValueError as error:
            raise ValueError("content is not base64") from error
        found = digest_bytes(raw)
        if found != self.digest:
            raise ValueError(f"the archive's digest is {found}, not {self.digest}")
        return self


class CrdPolicy(StrEnum):
    """What happens to the CRDs in a chart's `crds/` folder."""

    SKIP = "skip"
    CREATE = "create"
    """Made where they are missing, with upgrades too; never changed or deleted."""
    CREATE_REPLACE = "create-replace"
    """Brought to what the chart says with every release; never deleted."""


class HelmSource(WireModel):
    """A chart: from an https repository, an OCI registry, or an archive in the document."""

    repo: (
        Annotated[
            Text,
            StringConstraints(pattern=r"^(https|oci)://[A-Za-z0-9\[][^@?#\s]*$", max_length=512),
        ]
        | None
    ) = None
    """Without credentials: a document is no place for them."""
    chart: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")] | None
    ) = None
    version: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Exact; ranges are refused, because two clusters could then get two charts."""
    digest: Digest | None = None
    """Of the chart archive; checked by the agent before anything is applied."""
    archive: HelmArchive | None = None
    credentials_ref: CredentialsReference | None = None
    verify: Verification | None = None
    """For `oci://` only."""
    crds: CrdPolicy = CrdPolicy.CREATE
    test: bool = False
    """Run the chart's tests once it is ready; the release is good only if they pass."""
    keep_history: bool = False
    """Leave the release's history in the cluster when the extension is removed."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.repo is None) == (self.archive is None):
            raise ValueError("give either repo, chart and version, or archive")
        if self.repo is not None:
            if self.chart is None or self.version is None:
                raise ValueError("repo needs chart and version beside it")
            if not _EXACT_VERSION.fullmatch(self.version):
                raise ValueError(f"version {self.version!r} is not exact: write it as 1.2.3")
        elif self.chart is not None or self.version is not None or self.digest is not None:
            raise ValueError("archive stands alone: the archive itself holds name and version")
        if self.archive is not None and self.credentials_ref is not None:
            raise ValueError("credentialsRef is for a repo: an archive in the document needs none")
        if self.verify is not None and not (self.repo or "").startswith("oci://"):
            raise ValueError(
                "verify is for an oci:// repo: signatures lie beside it in the registry"
            )
        return self
