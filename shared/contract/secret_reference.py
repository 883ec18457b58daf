"""Secrets by reference: which entries of a vault an extension's pods need, never what they hold.

The agent turns a reference into objects that the cluster's own operator resolves: a
SecretProviderClass of the Secrets Store CSI driver, or an ExternalSecret. The value goes from the
vault to the node; neither the control plane nor the agent ever sees it.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, field_validator, model_validator

from shared.contract.base import Name, Text, WireModel

SecretType = Literal["Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson"]


class SecretProvider(StrEnum):
    """Which vault the values are in."""

    AZURE_KEY_VAULT = "azure-key-vault"
    AWS_SECRETS_MANAGER = "aws-secrets-manager"


class AzureCloud(StrEnum):
    """Which of Azure's clouds a Key Vault is in: each has endpoints of its own."""

    PUBLIC = "public"
    US_GOVERNMENT = "us-government"
    CHINA = "china"
    """Operated by 21Vianet."""


class VaultObjectType(StrEnum):
    """What an entry of Azure Key Vault is."""

    SECRET = "secret"  # noqa: S105 - a kind of entry, not a secret
    KEY = "key"
    """Its public half."""
    CERT = "cert"
    """A certificate without its private key; `secret` gives both."""


class StoreKind(StrEnum):
    """The two kinds of store that the External Secrets operator knows."""

    SECRET_STORE = "SecretStore"  # noqa: S105 - the name of a kind
    CLUSTER_SECRET_STORE = "ClusterSecretStore"  # noqa: S105 - as above


class StoreReference(WireModel):
    """A store that somebody made for the External Secrets operator."""

    name: Name
    kind: StoreKind = StoreKind.SECRET_STORE


class SecretObject(WireModel):
    """One entry of the vault."""

    name: Annotated[Text, StringConstraints(pattern=r"^[0-9A-Za-z/_+=.@:-]{1,512}$")]
    """In Azure Key Vault its name; in AWS Secrets Manager its name or ARN."""
    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$")]
    """Under which it is found: the file of a mounted volume, and the key of the Secret."""
    type: VaultObjectType = VaultObjectType.SECRET
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")] | None = None
    """None takes the newest."""
    property: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")] | None = None
    """One field of an AWS secret that is a JSON object."""


class SecretReference(WireModel):
    """Entries of one vault that become one Secret (and a volume to mount) of this name."""

    name: Name
    """Of the objects that are made, and of the Secret that they make."""
    provider: SecretProvider
    vault: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{3,24}$")] | None = None
    """Azure: the vault's name, without its cloud's domain such as `.vault.azure.net`."""
    cloud: AzureCloud = AzureCloud.PUBLIC
    """Azure: the cloud that the vault is in. In AWS the region tells its partition."""
    tenant_id: UUID | None = None
    """Azure: the directory that the vault belongs to."""
    client_id: UUID | None = None
    """Azure, with the CSI driver: the workload identity that reads; None is the node's own."""
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$")] | None = (
        None
    )
    """AWS: such as `eu-west-1`, `us-gov-west-1`, `cn-north-1` or `eusc-de-east-1`."""
    store: StoreReference | None = None
    """The store to use with External Secrets, instead of one made from this reference."""
    service_account: Name | None = None
    """With External Secrets and no `store`: the ServiceAccount of the extension's namespace whose
    workload identity reads the vault."""
    secret_type: SecretType = "Opaque"  # noqa: S105 - a type, not a secret
    """Of the Secret that is made."""
    objects: Annotated[tuple[SecretObject, ...], Field(min_length=1, max_length=64)]

    @field_validator("objects")
    @classmethod
    def _each_key_once(cls, objects: tuple[SecretObject, ...]) -> tuple[SecretObject, ...]:
        key, times = Counter(item.key for item in objects).most_common(1)[0]
        if times > 1:
            raise ValueError(f"the key {key!r} is given {times} times: give each entry its own")
        return objects

    @model_validator(mode="after")
    def _complete_for_its_provider(self) -> Self:
        if self.provider is SecretProvider.AZURE_KEY_VAULT:
            self._need("vault", "the name of the Key Vault")
            self._need("tenantId", "the directory (tenant) id that the vault belongs to")
            self._refuse("region", "it is for aws-secrets-manager")
        else:
            self._need("region", "the region of the secret, such as eu-west-1")
            for field in ("vault", "tenantId", "clientId"):
                self._refuse(field, "it is for azure-key-vault")
            if self.cloud is not AzureCloud.PUBLIC:
                self._refuse("cloud", "the region tells which partition it is in")
        for index, item in enumerate(self.objects):
            _check_object(self.provider, index, item)
        return self

    def _need(self, field: str, what: str) -> None:
        if self.to_wire().get(field) is None:
            raise ValueError(f"{field} is missing: {self.provider.value} needs {what}")

    def _refuse(self, field: str, why: str) -> None:
        if self.to_wire().get(field) is not None:
            raise ValueError(f"{field} does not fit {self.provider.value}: {why}, leave it out")


def _check_object(provider: SecretProvider, index: int, item: SecretObject) -> None:
    azure = provider is SecretProvider.AZURE_KEY_VAULT
    where = f"objects[{index}]"
    if azure and not all(c.isalnum() or c == "-" for c in item.name):
        raise ValueError(
            f"{where}.name {item.name!r} is no name of a Key Vault entry: "
            "use letters, digits and '-' only"
        )
    if azure and len(item.name) > 127:
        raise ValueError(f"{where}.name is longer than the 127 characters that Key Vault allows")
    if azure and item.property is not None:
        raise ValueError(f"{where}.property does not fit {provider.value}: store the field alone")
    if not azure and item.type is not VaultObjectType.SECRET:
        raise ValueError(f"{where}.type does not fit {provider.value}: leave it out")
