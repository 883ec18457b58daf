"""A source that kustomize builds: an overlay."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from shared.contract.artifact import CredentialsReference, Verification, inside
from shared.contract.base import Digest, Text, WireModel

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
    def _paths_stayinside(cls, files: dict[str, str] | None) -> dict[str, str] | None:
        for name in files or ():
            inside(name)
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
    def _path_staysinside(cls, path: str) -> str:
        return inside(path)
