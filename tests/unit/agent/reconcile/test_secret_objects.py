"""What references become, as the documentation of each operator has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from agent.reconcile.secret_objects import SecretApi, StoreUndecided, secret_objects
from shared.contract.secret_reference import SecretReference

TENANT = "8d2f6a5e-4a0c-4d0b-9f61-6a1c2b7f0e11"
CLIENT = "3f9c1f0a-6f0e-4a56-8b2e-0d6a3a5a9c22"


def azure(**changes: Any) -> SecretReference:
    wire = {
        "name": "tls",
        "provider": "azure-key-vault",
        "vault": "kv-edge",
        "tenantId": TENANT,
        "clientId": CLIENT,
        "objects": [
            {"name": "wildcard", "key": "tls.crt", "type": "cert", "version": "a1b2"},
            {"name": "wildcard", "key": "tls.key"},
        ],
    }
    return SecretReference.model_validate(wire | changes)


def aws(**changes: Any) -> SecretReference:
    wire = {
        "name": "db",
        "provider": "aws-secrets-manager",
        "region": "eu-west-1",
        "objects": [
            {"name": "prod/db", "key": "user", "property": "username"},
            {"name": "prod/db", "key": "password", "property": "password"},
            {"name": "prod/ca", "key": "ca.crt", "version": "0c0ffee0-1"},
        ],
    }
    return SecretReference.model_validate(wire | changes)


def made(reference: SecretReference, api: SecretApi) -> list[dict[str, Any]]:
    return secret_objects([reference], "shop", api)


def test_the_csi_driver_s_azure_provider_gets_yaml_in_yaml() -> None:
    [found] = made(azure(), SecretApi.CSI_DRIVER)
    assert found["metadata"] == {"name": "tls", "namespace": "shop"}
    parameters = found["spec"]["parameters"]
    array = [json.loads(entry) for entry in yaml.safe_load(parameters.pop("objects"))["array"]]
    assert array == [
        {
            "objectName": "wildcard",
            "objectType": "cert",
            "objectAlias": "tls.crt",
            "objectVersion": "a1b2",
        },
        {"objectName": "wildcard", "objectType": "secret", "objectAlias": "tls.key"},
    ]
    assert parameters == {"keyvaultName": "kv-edge", "tenantId": TENANT, "clientID": CLIENT}
    assert found["spec"]["provider"] == "azure"
    assert found["spec"]["secretObjects"] == [
        {
            "secretName": "tls",
            "type": "Opaque",
            "data": [
                {"objectName": "tls.crt", "key": "tls.crt"},
                {"objectName": "tls.key", "key": "tls.key"},
            ],
        }
    ]


def test_the_csi_driver_s_aws_provider_gets_each_secret_once() -> None:
    [found] = made(aws(), SecretApi.CSI_DRIVER)
    assert found["spec"]["provider"] == "aws"
    assert found["spec"]["parameters"]["region"] == "eu-west-1"
    assert yaml.safe_load(found["spec"]["parameters"]["objects"]) == [
        {
            "objectName": "prod/ca",
            "objectType": "secretsmanager",
            "objectVersion": "0c0ffee0-1",
            "objectAlias": "ca.crt",
        },
        {
            "objectName": "prod/db",
            "objectType": "secretsmanager",
            "jmesPath": [
                {"path": '"username"', "objectAlias": "user"},
                {"path": '"password"', "objectAlias": "password"},
            ],
        },
    ]


@pytest.mark.parametrize("api", [SecretApi.EXTERNAL_SECRETS, SecretApi.EXTERNAL_SECRETS_BETA])
def test_external_secrets_read_with_the_extension_s_own_account(api: SecretApi) -> None:
    store, secret = made(aws(serviceAccount="web"), api)
    assert {store["apiVersion"], secret["apiVersion"]} == {api.value}
    assert store["spec"]["provider"]["aws"] == {
        "service": "SecretsManager",
        "region": "eu-west-1",
        "auth": {"jwt": {"serviceAccountRef": {"name": "web"}}},
    }
    assert secret["spec"]["secretStoreRef"] == {"name": "db", "kind": "SecretStore"}
    assert [entry["remoteRef"] for entry in secret["spec"]["data"]] == [
        {"key": "prod/db", "property": "username"},
        {"key": "prod/db", "property": "password"},
        {"key": "prod/ca", "version": "uuid/0c0ffee0-1"},
    ]


def test_a_store_that_is_named_is_used_as_it_is() -> None:
    named = {"name": "platform", "kind": "ClusterSecretStore"}
    [secret] = made(azure(store=named), SecretApi.EXTERNAL_SECRETS)
    assert secret["spec"]["secretStoreRef"] == named
    assert secret["spec"]["data"][0]["remoteRef"] == {"key": "cert/wildcard", "version": "a1b2"}


def test_the_operator_s_own_identity_is_never_borrowed() -> None:
    with pytest.raises(StoreUndecided, match="serviceAccount"):
        made(azure(), SecretApi.EXTERNAL_SECRETS)


def test_a_vault_of_the_public_cloud_leaves_the_operators_defaults() -> None:
    [csi] = made(azure(), SecretApi.CSI_DRIVER)
    store, _ = made(azure(serviceAccount="web"), SecretApi.EXTERNAL_SECRETS)
    assert "cloudName" not in csi["spec"]["parameters"]
    assert store["spec"]["provider"]["azurekv"] == {
        "authType": "WorkloadIdentity",
        "vaultUrl": "https://kv-edge.vault.azure.net",
        "tenantId": TENANT,
        "serviceAccountRef": {"name": "web"},
    }


@pytest.mark.parametrize(
    ("cloud", "csi_name", "environment", "url"),
    [
        (
            "us-government",
            "AzureUSGovernmentCloud",
            "USGovernmentCloud",
            "https://kv-edge.vault.usgovcloudapi.net",
        ),
        ("china", "AzureChinaCloud", "ChinaCloud", "https://kv-edge.vault.azure.cn"),
    ],
)
def test_a_vault_of_a_sovereign_cloud_is_named_as_each_operator_names_it(
    cloud: str, csi_name: str, environment: str, url: str
) -> None:
    [csi] = made(azure(cloud=cloud), SecretApi.CSI_DRIVER)
    store, _ = made(azure(cloud=cloud, serviceAccount="web"), SecretApi.EXTERNAL_SECRETS)
    assert csi["spec"]["parameters"]["cloudName"] == csi_name
    provider = store["spec"]["provider"]["azurekv"]
    assert (provider["environmentType"], provider["vaultUrl"]) == (environment, url)


def test_workload_identity_in_china_goes_to_the_host_that_issues_it() -> None:
    store, _ = made(azure(cloud="china", serviceAccount="web"), SecretApi.EXTERNAL_SECRETS)
    provider = store["spec"]["provider"]["azurekv"]
    issuer = provider["customCloudConfig"]["activeDirectoryEndpoint"]
    assert (provider["useAzureSDK"], issuer) == (True, "https://login.partner.microsoftonline.cn/")
    assert (
        "useAzureSDK"
        not in made(azure(cloud="us-government", serviceAccount="web"), SecretApi.EXTERNAL_SECRETS)[
            0
        ]["spec"]["provider"]["azurekv"]
    )


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1", "eusc-de-east-1"])
def test_a_region_of_another_aws_partition_goes_to_the_operators_as_it_is(region: str) -> None:
    arn = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:prod/db-AbCdEf"
    reference = aws(region=region, serviceAccount="web", objects=[{"name": arn, "key": "db"}])
    [csi] = made(reference, SecretApi.CSI_DRIVER)
    store, secret = made(reference, SecretApi.EXTERNAL_SECRETS)
    assert csi["spec"]["parameters"]["region"] == region
    assert store["spec"]["provider"]["aws"]["region"] == region
    assert secret["spec"]["data"][0]["remoteRef"] == {"key": arn}
