"""The Bicep files agree with the code: settings, roles, events, runbooks."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from dev.state import REPOSITORY
from relay.settings import RelaySettings
from shared.services import prepare_database
from shared.settings import Settings, variable
from shared.store import migrate
from tests.infra.bicep import BICEP, FILES, Bicep, environment

MODULES = BICEP / "modules"
FILE_CA = {"ARCBRIDGE_CA_DIR"}
"""For development: Azure has the key in Key Vault."""
TUNED_IN_CODE = {
    "ARCBRIDGE_RELAY_READY_FILE",  # for tests
    "ARCBRIDGE_RELAY_ID",  # the host name, which is the replica's
    "ARCBRIDGE_RELAY_CONNECTIONS",
    "ARCBRIDGE_HELLO_SECONDS",
    "ARCBRIDGE_ADMISSION_QUEUE",
    "ARCBRIDGE_ADMISSION_SECONDS",
    "ARCBRIDGE_STREAM_AGE_SECONDS",
    "ARCBRIDGE_SEND_SECONDS",
    "ARCBRIDGE_FLUSH_SECONDS",
    "ARCBRIDGE_FENCING_SECONDS",
    "ARCBRIDGE_TRUST_SECONDS",
    "ARCBRIDGE_WAKE_SPREAD_SECONDS",
    "ARCBRIDGE_OUTBOX_SECONDS",
}
"""Measured defaults that no deployment has had a reason to change."""


def own(name: str) -> set[str]:
    return {each for each in environment((MODULES / name).read_text()) if "ARCBRIDGE" in each}


def settings_of(cls: Any) -> set[str]:
    return {variable(field.name) for field in dataclasses.fields(cls)}


def schedules() -> set[str]:
    timers = (REPOSITORY / "functions" / "timers").glob("*.py")
    return {name for path in timers for name in re.findall(r'every\("(\w+)"\)', path.read_text())}


def test_the_functions_app_has_every_setting_of_the_control_plane_and_no_other() -> None:
    assert own("functions.bicep") == settings_of(Settings) - FILE_CA | schedules()


def test_the_relay_has_every_setting_of_the_relay_and_no_other() -> None:
    assert own("relay.bicep") == settings_of(RelaySettings) - FILE_CA - TUNED_IN_CODE


def test_what_is_left_to_the_code_is_a_setting_of_the_relay() -> None:
    assert settings_of(RelaySettings) >= TUNED_IN_CODE


def test_the_database_job_has_what_its_program_reads() -> None:
    assert own("database-job.bicep") == {
        migrate.DSN,
        prepare_database.LOGINS,
        prepare_database.TENANTS,
    }
    assert f"'{prepare_database.__name__}'" in (MODULES / "database-job.bicep").read_text()


def test_limits_of_parameters_are_those_of_the_settings() -> None:
    main = (BICEP / "main.bicep").read_text()
    for name in ("certificateHours", "heartbeatSeconds", "pollSeconds"):
        found = re.search(rf"@minValue\((\d+)\)\n@maxValue\((\d+)\)\nparam {name} int", main)
        assert found is not None
        setting = variable(re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", name))
        field = next(f for f in dataclasses.fields(Settings) if variable(f.name) == setting)
        low, high = int(found[1]), int(found[2])
        assert field.metadata["parse"](str(low)) == low
        assert field.metadata["parse"](str(high)) == high
        for outside in (low - 1, high + 1):
            with pytest.raises(ValueError, match=str(outside)):
                field.metadata["parse"](str(outside))


ROLES = {
    # who, role, on what: the code that needs it
    ("functions", "signerRole", "issuingKey"): ("shared/identity/key_vault_issuer.py", ".sign("),
    ("relay", "signerRole", "issuingKey"): ("relay/resources.py", "open_keyring("),
    ("operator", "readerRole", "vault"): ("infra/hooks/issuing_ca.py", '"keyvault", "key"'),
    ("functions", "blobOwnerRole", "account"): ("host.json", '"version": "2.0"'),
    ("functions", "tableContributorRole", "account"): ("host.json", '"version": "2.0"'),
    ("functions", "publisherRole", "insights"): ("functions/telemetry.py", "configure_tracing("),
    ("relay", "publisherRole", "insights"): ("relay/__main__.py", "configure_tracing("),
    ("relay", "pullRole", "registry"): ("relay/Dockerfile", "ENTRYPOINT"),
    ("database", "pullRole", "registry"): ("shared/services/prepare_database.py", "def main("),
}
BUILT_IN = {
    "readerRole": "21090545-7ca7-4776-b22c-e363652d74d2",  # Key Vault Reader
    "blobOwnerRole": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",  # Storage Blob Data Owner
    "tableContributorRole": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",  # Table Data Contributor
    "publisherRole": "3913510d-42f4-4e42-8a64-420c390055eb",  # Monitoring Metrics Publisher
    "pullRole": "7f951dda-4ed3-4680-a7ca-43fe172d538d",  # AcrPull
}


def assignments() -> set[tuple[str, str, str]]:
    found = set()
    for path in FILES:
        for resource in Bicep(path).resources():
            if resource.type == "Microsoft.Authorization/roleAssignments":
                who = re.search(r"principalId: (\w+)PrincipalId", resource.source)
                role = re.search(r"roleDefinitionId: .*?(\w+Role)\b(?!D)", resource.source)
                scope = re.search(r"^  scope: (\w+)$", resource.source, re.MULTILINE)
                assert who, resource.symbol
                assert role, resource.symbol
                assert scope, resource.symbol
                found.add((who[1], role[1], scope[1]))
    return found


def test_each_identity_has_the_roles_that_its_code_needs_and_no_other() -> None:
    assert assignments() == set(ROLES)


@pytest.mark.parametrize(("path", "evidence"), sorted(set(ROLES.values())))
def test_the_code_that_a_role_is_for_is_there(path: str, evidence: str) -> None:
    assert evidence in (REPOSITORY / path).read_text()


def test_built_in_roles_have_their_ids() -> None:
    source = "".join(path.read_text() for path in FILES)
    declared = dict(re.findall(r"^var (\w+Role) = '([0-9a-f-]{36})'$", source, re.MULTILINE))
    assert declared == BUILT_IN


def test_the_signers_may_sign_and_nothing_else() -> None:
    vault = (MODULES / "keyvault.bicep").read_text()
    actions = set(re.findall(r"'(Microsoft\.KeyVault/vaults/keys/[\w/*]+)'$", vault, re.MULTILINE))
    assert actions - {"Microsoft.KeyVault/vaults/keys"} == {
        "Microsoft.KeyVault/vaults/keys/read",
        "Microsoft.KeyVault/vaults/keys/sign/action",
    }
    assert "keyOps: ['sign']" in vault
    assert "exportable: false" in vault


def test_redis_knows_the_two_programs_and_no_keys() -> None:
    redis = (MODULES / "redis.bicep").read_text()
    assert set(re.findall(r"objectId: (\w+)PrincipalId", redis)) == {"functions", "relay"}
    assert "accessKeysAuthentication: 'Disabled'" in redis


@pytest.mark.parametrize("module", ["functions.bicep", "relay.bicep"])
def test_urls_name_a_user_and_no_password(module: str) -> None:
    source = (MODULES / module).read_text()
    assert re.search(r"'postgresql://\$\{identityName\}@\$\{postgresHost\}:", source)
    assert re.search(r"'rediss://\$\{identityPrincipalId\}@\$\{redisHost\}:", source)


def test_every_alert_names_a_runbook_that_exists() -> None:
    source = (MODULES / "alerts.bicep").read_text()
    named = set(re.findall(r"(?:runbookBase\}/|runbook: ')([\w/]+\.md)", source))
    assert named
    for name in named:
        assert (REPOSITORY / "docs" / "runbooks" / name).is_file(), name
    alerts = source.count("criteria: {")
    assert source.count("runbook: '${runbookBase}/") == alerts


def test_every_runbook_of_the_platform_has_an_alert() -> None:
    source = (MODULES / "alerts.bicep").read_text()
    for path in (REPOSITORY / "docs" / "runbooks" / "platform").glob("*.md"):
        assert f"platform/{path.name}" in source


def test_every_event_that_an_alert_looks_for_is_logged_by_the_code() -> None:
    source = (MODULES / "alerts.bicep").read_text()
    events = [
        event
        for query in re.findall(r"query: '(.+)'", source)
        for event in re.findall(r'"([^"]+)"', query)
    ]
    assert len(events) > 8
    code = "".join(
        path.read_text()
        for part in ("shared", "functions", "relay")
        for path in (REPOSITORY / part).rglob("*.py")
    )
    for event in events:
        assert f'"{event}"' in code, event
