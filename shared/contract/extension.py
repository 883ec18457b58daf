"""The Extension resource: what an operator declares once for many clusters."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from shared.contract.base import (
    Digest,
    Duration,
    Name,
    ObjectMeta,
    Reason,
    Text,
    WireModel,
)
from shared.contract.canonical import digest_bytes
from shared.contract.placement import LabelSelector, Placement
from shared.contract.secret_reference import SecretReference
from shared.contract.strategy import RolloutStrategy

_EXACT_VERSION = re.compile(r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_ARCHIVE_URL = r"^https://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/[^@#\s]*$"
_OCI_REFERENCE = (
    r"^oci://[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
    r"@sha256:[0-9a-f]{64}$"
)
_GIT_URL = r"^https://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/[^@#?\s]+$"
_SSH_KEY = r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}( [^\r\n]*)?$"
_PGP_KEY = (
    r"^-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n[^\x00]+-----END PGP PUBLIC KEY BLOCK-----\s*$"
)
_POINTER = r"^(/([^~/]|~[01])*)+$"

Values = dict[str, JsonValue]


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


class CredentialsReference(WireModel):
    """A Secret of the cluster with credentials for where a source is fetched from.

    It has to be labelled for that use and to name the hosts that it may be sent to; its content
    never leaves the cluster but to those.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    namespace: Name | None = None
    """The extension's own when absent; the only other one allowed is the agent's."""


class CrdPolicy(StrEnum):
    """What happens to the CRDs in a chart's `crds/` folder."""

    SKIP = "skip"
    CREATE = "create"
    """Made where they are missing, as helm does; never changed or deleted."""
    CREATE_REPLACE = "create-replace"
    """Brought to what the chart says with every release; never deleted."""


_PUBLIC_KEY = (
    r"^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=]{1,76}\r?\n)+-----END PUBLIC KEY-----\s*$"
)
CosignKey = Annotated[Text, StringConstraints(pattern=_PUBLIC_KEY, max_length=2048)]
"""PEM of a public key: ECDSA P-256 as cosign makes it, RSA, or Ed25519."""


class Verification(WireModel):
    """What has to vouch for an OCI artifact before anything of it is opened."""

    cosign_key: CosignKey
    """An artifact without a signature of this key beside it is ArtifactFailed."""


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


class OverlayArchive(WireModel):
    """A gzipped tar archive that the agent downloads."""

    url: Annotated[Text, StringConstraints(pattern=_ARCHIVE_URL, max_length=1024)]
    """https, without credentials: a document is no place for them."""
    digest: Digest


class GitVerification(WireModel):
    """Whose signature the commit needs."""

    ssh_keys: Annotated[
        tuple[Annotated[Text, StringConstraints(pattern=_SSH_KEY, max_length=2048)], ...],
        Field(max_length=16),
    ] = ()
    """Public keys as they stand in a file of authorized keys: `ssh-ed25519 AAAA…`."""
    pgp_keys: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=_PGP_KEY, max_length=16_384)], ...],
        Field(max_length=8),
    ] = ()
    """Armored OpenPGP public keys, as `gpg --armor --export-options export-minimal --export`."""

    @model_validator(mode="after")
    def _somebodys(self) -> Self:
        if not (self.ssh_keys or self.pgp_keys):
            raise ValueError("give sshKeys, pgpKeys or both: without a key no signature would do")
        return self


class GitOverlay(WireModel):
    """One commit of a Git repository, fetched over https without its history."""

    url: Annotated[Text, StringConstraints(pattern=_GIT_URL, max_length=512)]
    """https, without credentials and query."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    """Its full id: branches and tags move, and two clusters could then get two overlays."""
    verify: GitVerification | None = None


class KustomizeSource(WireModel):
    """An overlay: carried in the document, downloaded, fetched from Git, or from a registry.

    Whichever it is, two clusters get the same bytes; paths are relative to its root.
    """

    files: (
        Annotated[
            dict[str, Annotated[Text, StringConstraints(max_length=200 * 1024)]],
            Field(min_length=1, max_length=200),
        ]
        | None
    ) = None
    archive: OverlayArchive | None = None
    oci: Annotated[Text, StringConstraints(pattern=_OCI_REFERENCE, max_length=512)] | None = None
    """`oci://registry/repository@sha256:…`: an artifact with one gzipped tar layer."""
    git: GitOverlay | None = None
    credentials_ref: CredentialsReference | None = None
    verify: Verification | None = None
    """For `oci` only."""
    path: str = "."
    """The folder that holds the kustomization, from the root."""

    @field_validator("files")
    @classmethod
    def _paths_stay_inside(cls, files: dict[str, str] | None) -> dict[str, str] | None:
        for name in files or ():
            _inside(name)
        return files

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = (self.files, self.archive, self.oci, self.git)
        if sum(origin is not None for origin in origins) != 1:
            raise ValueError("give exactly one of files, archive, oci and git")
        if self.files is not None and self.credentials_ref is not None:
            raise ValueError("credentialsRef is for archive, oci and git: files need none")
        if self.verify is not None and self.oci is None:
            raise ValueError("verify is for oci: signatures lie beside it in the registry")
        return self

    @property
    def origin(self) -> str | None:
        """Where it is fetched from: a host, or a repository of a registry."""
        if self.archive is not None:
            return "/".join(self.archive.url.split("/", 3)[:3])
        if self.git is not None:
            return self.git.url
        return None if self.oci is None else self.oci.partition("@")[0]

    @field_validator("path")
    @classmethod
    def _path_stays_inside(cls, path: str) -> str:
        return _inside(path)


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\x00" in path or not path:
        raise ValueError(f"{path!r} leaves the overlay's root: use a relative path without '..'")
    return path


class FluxHelmRelease(WireModel):
    """What a Flux HelmRelease is made of; its values are the extension's."""

    chart: Annotated[Text, StringConstraints(max_length=256)] = "."
    """The chart's folder in a Git repository; not for OCI, where the artifact is the chart."""

    @field_validator("chart")
    @classmethod
    def _chart_stays_inside(cls, chart: str) -> str:
        return _inside(chart)


class FluxKustomization(WireModel):
    """What a Flux Kustomization is made of."""

    path: Annotated[Text, StringConstraints(max_length=256)] = "."
    prune: bool = True

    @field_validator("path")
    @classmethod
    def _path_stays_inside(cls, path: str) -> str:
        return _inside(path)


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


Expression = Annotated[Text, StringConstraints(min_length=1, max_length=1024)]
"""CEL over the object's fields: `status.phase == 'Ready'`."""


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
