"""Objects that stand for secrets by reference. Pure: names go in, never a value.

Which ones depends on what the cluster has: SecretProviderClasses for the Secrets Store CSI driver
(`secrets-store.csi.x-k8s.io/v1`, parameters of its Azure and AWS providers), or ExternalSecrets of
the External Secrets operator (`external-secrets.io`), with a SecretStore where none is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

import yaml

from agent.reconcile.objects import Object
from shared.contract.secret_reference import (
    AzureCloud,
    SecretObject,
    SecretProvider,
    SecretReference,
)

CSI_KIND = "SecretProviderClass"
EXTERNAL_KIND = "ExternalSecret"


class SecretApi(StrEnum):
    """The API of an operator that fetches secrets, the preferred one first."""

    CSI_DRIVER = "secrets-store.csi.x-k8s.io/v1"
    EXTERNAL_SECRETS = "external-secrets.io/v1"
    EXTERNAL_SECRETS_BETA = "external-secrets.io/v1beta1"

    @property
    def kind(self) -> str:
        """The kind by which the cluster is known to have it."""
        return CSI_KIND if self is SecretApi.CSI_DRIVER else EXTERNAL_KIND


class StoreUndecided(ValueError):
    """External Secrets does not know with whose identity to read the vault."""


@dataclass(frozen=True)
class _Cloud:
    """What the operators call one of Azure's clouds, and where its vaults are."""

    csi_name: str | None
    """`cloudName` of the CSI driver's provider; None leaves its default."""
    environment: str | None
    """`environmentType` of External Secrets; None leaves its default."""
    vault_domain: str
    extra: Object = field(default_factory=dict)
    """Further fields of External Secrets' provider."""


_CLOUDS = {
    AzureCloud.PUBLIC: _Cloud(None, None, "vault.azure.net"),
    AzureCloud.US_GOVERNMENT: _Cloud(
        "AzureUSGovernmentCloud", "USGovernmentCloud", "vault.usgovcloudapi.net"
    ),
    AzureCloud.CHINA: _Cloud(
        "AzureChinaCloud",
        "ChinaCloud",
        "vault.azure.cn",
        # Workload identities of this cloud are issued by another host than External Secrets takes
        # for it, and only its newer SDK can be told (its page on Azure Key Vault, "Azure China").
        {
            "useAzureSDK": True,
            "customCloudConfig": {
                "activeDirectoryEndpoint": "https://login.partner.microsoftonline.cn/",
                "keyVaultEndpoint": "https://vault.azure.cn/",
                "resourceManagerEndpoint": "https://management.chinacloudapi.cn/",
            },
        },
    ),
}


def secret_objects(
    references: Sequence[SecretReference], namespace: str, api: SecretApi
) -> list[Object]:
    """What the references become in a namespace. Raises StoreUndecided."""
    if api is SecretApi.CSI_DRIVER:
        return [_provider_class(reference, namespace) for reference in references]
    return [obj for reference in references for obj in _external(reference, namespace, api)]


def _provider_class(reference: SecretReference, namespace: str) -> Object:
    azure = reference.provider is SecretProvider.AZURE_KEY_VAULT
    entries = [{"objectName": item.key, "key": item.key} for item in reference.objects]
    spec = {
        "provider": "azure" if azure else "aws",
        "parameters": _azure_parameters(reference) if azure else _aws_parameters(reference),
        # The Secret exists while a pod mounts the volume: that is how the driver works.
        "secretObjects": [
            {"secretName": reference.name, "type": reference.secret_type, "data": entries}
        ],
    }
    return _object(SecretApi.CSI_DRIVER, CSI_KIND, reference.name, namespace, spec)


def _azure_parameters(reference: SecretReference) -> Object:
    objects = [
        {
            "objectName": item.name,
            "objectType": item.type.value,
            "objectAlias": item.key,
            **({"objectVersion": item.version} if item.version else {}),
        }
        for item in reference.objects
    ]
    cloud_name = _CLOUDS[reference.cloud].csi_name
    return {
        "keyvaultName": reference.vault,
        **({"cloudName": cloud_name} if cloud_name else {}),
        "tenantId": str(reference.tenant_id),
        **({"clientID": str(reference.client_id)} if reference.client_id else {}),
        # The provider wants YAML in YAML; JSON is YAML.
        "objects": yaml.safe_dump({"array": [json.dumps(found) for found in objects]}),
    }


def _aws_parameters(reference: SecretReference) -> Object:
    """Several fields of one secret are one entry: the provider takes each name only once."""

    def origin(item: SecretObject) -> tuple[str, str]:
        return item.name, item.version or ""

    objects: list[Object] = []
    for (name, version), found in groupby(sorted(reference.objects, key=origin), key=origin):
        entry: Object = {"objectName": name, "objectType": "secretsmanager"}
        if version:
            entry["objectVersion"] = version
        items = list(found)
        paths = [
            {"path": f'"{item.property}"', "objectAlias": item.key}
            for item in items
            if item.property
        ]
        whole = [item.key for item in items if not item.property]
        objects += [
            {
                **entry,
                **({"objectAlias": alias} if alias else {}),
                **({"jmesPath": paths} if paths and index == 0 else {}),
            }
            for index, alias in enumerate(whole or [""])
        ]
    return {"region": reference.region, "objects": yaml.safe_dump(objects, sort_keys=False)}


def _external(reference: SecretReference, namespace: str, api: SecretApi) -> list[Object]:
    store = reference.store
    spec = {
        "refreshInterval": "1h",
        "secretStoreRef": (
            {"name": store.name, "kind": store.kind.value}
            if store
            else {"name": reference.name, "kind": "SecretStore"}
        ),
        "target": {
            "name": reference.name,
            "creationPolicy": "Owner",
            "template": {"type": reference.secret_type},
        },
        "data": [
            {"secretKey": item.key, "remoteRef": _remote(reference.provider, item)}
            for item in reference.objects
        ],
    }
    secret = _object(api, EXTERNAL_KIND, reference.name, namespace, spec)
    return [secret] if store else [_store(reference, namespace, api), secret]


def _remote(provider: SecretProvider, item: SecretObject) -> Object:
    azure = provider is SecretProvider.AZURE_KEY_VAULT
    version = item.version if azure or item.version is None else f"uuid/{item.version}"
    return {
        "key": f"{item.type.value}/{item.name}" if azure else item.name,
        **({"version": version} if version else {}),
        **({"property": item.property} if item.property else {}),
    }


def _store(reference: SecretReference, namespace: str, api: SecretApi) -> Object:
    """A store that reads as the extension's own ServiceAccount: with the operator's identity an
    extension could read whatever that may."""
    if reference.service_account is None:
        raise StoreUndecided(
            f"secrets: {reference.name}: this cluster has External Secrets, so name the `store` to "
            "read from, or the `serviceAccount` whose workload identity reads the vault"
        )
    account = {"name": reference.service_account}
    if reference.provider is SecretProvider.AZURE_KEY_VAULT:
        cloud = _CLOUDS[reference.cloud]
        provider: Object = {
            "azurekv": {
                "authType": "WorkloadIdentity",
                **({"environmentType": cloud.environment} if cloud.environment else {}),
                **cloud.extra,
                "vaultUrl": f"https://{reference.vault}.{cloud.vault_domain}",
                "tenantId": str(reference.tenant_id),
                "serviceAccountRef": account,
            }
        }
    else:
        provider = {
            "aws": {
                "service": "SecretsManager",
                "region": reference.region,
                "auth": {"jwt": {"serviceAccountRef": account}},
            }
        }
    return _object(api, "SecretStore", reference.name, namespace, {"provider": provider})


def _object(api: SecretApi, kind: str, name: str, namespace: str, spec: Object) -> Object:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": api.value, "kind": kind, "metadata": meta, "spec": spec}
