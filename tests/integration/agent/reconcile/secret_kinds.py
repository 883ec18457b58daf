"""The CRDs of the operators that fetch secrets: their schemas, cut down to what the agent sets.

Fields that are not in a schema are dropped by the API server, so a misspelt one shows as a
difference between what was applied and what is there.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def record(*required: str, **properties: Any) -> dict[str, Any]:
    """An object's schema."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def items(schema: dict[str, Any]) -> dict[str, Any]:
    """A list's schema."""
    return {"type": "array", "items": schema}


PROVIDER_CLASS = record(
    provider=TEXT,
    parameters=TEXTS,
    secretObjects=items(
        record(
            secretName=TEXT,
            type=TEXT,
            labels=TEXTS,
            data=items(record(objectName=TEXT, key=TEXT)),
        )
    ),
)
ACCOUNT = record("name", name=TEXT, namespace=TEXT)
STORE = record(
    "provider",
    provider=record(
        azurekv=record(
            "vaultUrl",
            authType={"type": "string", "enum": ["ServicePrincipal", "WorkloadIdentity"]},
            environmentType={
                "type": "string",
                "enum": ["PublicCloud", "USGovernmentCloud", "ChinaCloud", "GermanCloud"],
            },
            useAzureSDK={"type": "boolean"},
            customCloudConfig=record(
                "activeDirectoryEndpoint",
                activeDirectoryEndpoint=TEXT,
                keyVaultEndpoint=TEXT,
                resourceManagerEndpoint=TEXT,
            ),
            vaultUrl=TEXT,
            tenantId=TEXT,
            serviceAccountRef=ACCOUNT,
        ),
        aws=record(
            "region",
            "service",
            service={"type": "string", "enum": ["SecretsManager", "ParameterStore"]},
            region=TEXT,
            auth=record(jwt=record(serviceAccountRef=ACCOUNT)),
        ),
    ),
)
EXTERNAL_SECRET = record(
    refreshInterval=TEXT,
    secretStoreRef=record(name=TEXT, kind=TEXT),
    target=record(
        name=TEXT,
        creationPolicy={"type": "string", "enum": ["Owner", "Orphan", "Merge", "None"]},
        template=record(type=TEXT),
    ),
    data=items(
        record(
            "remoteRef",
            "secretKey",
            secretKey=TEXT,
            remoteRef=record("key", key=TEXT, version=TEXT, property=TEXT),
        )
    ),
)
STATUS = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def crd(group: str, kind: str, plural: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A CRD with a status."""
    schema = {"type": "object", "properties": {"spec": spec, "status": STATUS}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


CSI_DRIVER = [
    crd(
        "secrets-store.csi.x-k8s.io",
        "SecretProviderClass",
        "secretproviderclasses",
        PROVIDER_CLASS,
    )
]
EXTERNAL_SECRETS = [
    crd("external-secrets.io", "SecretStore", "secretstores", STORE),
    crd("external-secrets.io", "ExternalSecret", "externalsecrets", EXTERNAL_SECRET),
]
