"""References to secrets are complete for their provider, or say which field is wrong and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from shared.contract.extension import ExtensionManifest
from shared.contract.secret_reference import SecretReference

ROOT = Path(__file__).parents[3]
AZURE = {
    "name": "tls",
    "provider": "azure-key-vault",
    "vault": "kv-edge",
    "tenantId": "8d2f6a5e-4a0c-4d0b-9f61-6a1c2b7f0e11",
    "objects": [{"name": "wildcard", "key": "tls.crt"}],
}
AWS = {
    "name": "db",
    "provider": "aws-secrets-manager",
    "region": "eu-west-1",
    "objects": [{"name": "prod/db", "key": "password", "property": "password"}],
}


@pytest.mark.parametrize(
    "reference",
    [
        AZURE,
        AZURE | {"cloud": "us-government"},
        AZURE | {"cloud": "china"},
        AWS,
        AWS | {"region": "us-gov-west-1"},
        AWS | {"region": "cn-northwest-1"},
    ],
)
def test_a_complete_reference_is_taken(reference: dict[str, Any]) -> None:
    assert SecretReference.model_validate(reference).to_wire()["name"] == reference["name"]


@pytest.mark.parametrize(
    ("reference", "change", "words"),
    [
        (AZURE, {"vault": None}, "vault is missing"),
        (AZURE, {"tenantId": None}, "tenantId is missing"),
        (AZURE, {"region": "eu-west-1"}, "region does not fit azure-key-vault"),
        (AZURE, {"objects": []}, "at least 1 item"),
        (AZURE, {"objects": [{"name": "a/b", "key": "k"}]}, r"objects\[0\].name 'a/b'"),
        (AZURE, {"objects": [{"name": "a" * 128, "key": "k"}]}, "127 characters"),
        (
            AZURE,
            {"objects": [{"name": "a", "key": "k", "property": "p"}]},
            r"objects\[0\].property",
        ),
        (AZURE, {"objects": [{"name": "a", "key": "../k"}]}, "pattern"),
        (AZURE, {"objects": [{"name": "a", "key": "k"}, {"name": "b", "key": "k"}]}, "2 times"),
        (AZURE, {"objects": [{"name": "a", "key": "k", "value": "s3cret"}]}, "not permitted"),
        (AZURE, {"vault": "--kubeconfig=/etc/x"}, "pattern"),
        (AZURE, {"cloud": "AzureChinaCloud"}, "public.*us-government.*china"),
        (AWS, {"region": None}, "region is missing"),
        (AWS, {"region": "aws-global"}, "pattern"),
        (AWS, {"cloud": "china"}, "cloud does not fit aws-secrets-manager"),
        (AWS, {"vault": "kv-edge"}, "vault does not fit aws-secrets-manager"),
        (AWS, {"objects": [{"name": "a", "key": "k", "type": "cert"}]}, r"objects\[0\].type"),
    ],
)
def test_what_does_not_fit_is_named(
    reference: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        SecretReference.model_validate(reference | change)


def test_the_public_cloud_need_not_be_named_and_changes_no_digest() -> None:
    named = SecretReference.model_validate(AZURE | {"cloud": "public"})
    assert named.to_canonical() == SecretReference.model_validate(AZURE).to_canonical()


def test_two_secrets_of_one_name_are_refused() -> None:
    spec = {
        "placement": {},
        "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []"}}},
        "namespace": "web",
        "secrets": [AZURE, AZURE],
    }
    with pytest.raises(ValidationError, match="two secrets are called 'tls'"):
        ExtensionManifest.model_validate({"metadata": {"name": "web"}, "spec": spec})


def test_the_example_is_a_manifest_once_its_overlay_is_packed() -> None:
    folder = ROOT / "examples" / "secrets"
    manifest = yaml.safe_load((folder / "wildcard.yaml").read_text())
    files = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted((folder / "overlay").iterdir())
    }
    manifest["spec"]["source"]["kustomize"]["files"] = files
    [secret] = ExtensionManifest.model_validate(manifest).spec.secrets
    assert secret.name in files["overlay/web.yaml"]
