"""Settings are complete and right before anything starts, or every mistake is named at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from shared.settings import Settings, SettingsError, variable

COMPLETE = {
    "ARCBRIDGE_POSTGRES_URL": "postgresql://app:c4n4ry@db:5432/arcbridge",
    "ARCBRIDGE_REDIS_URL": "redis://:c4n4ry@cache:6379/0",
    "ARCBRIDGE_CONTROL_PLANE_URL": "https://arcbridge.example.org/",
    "ARCBRIDGE_RELAY_ADDRESS": "relay.example.org:8443",
    "ARCBRIDGE_OIDC_ISSUER": "https://login.example.org/{tid}/v2.0",
    "ARCBRIDGE_OIDC_AUDIENCE": "api://arcbridge",
    "ARCBRIDGE_OIDC_TENANTS": '{"11111111-1111-1111-1111-111111111111": "demo"}',
}


def test_settings_are_read_with_their_defaults() -> None:
    settings = Settings.from_environ(COMPLETE)
    assert settings.control_plane_url == "https://arcbridge.example.org"
    assert settings.oidc_tenants == {"11111111-1111-1111-1111-111111111111": "demo"}
    assert settings.ca_dir is None
    assert settings.heartbeat_seconds == 30


def test_settings_can_be_set() -> None:
    settings = Settings.from_environ(
        COMPLETE | {"ARCBRIDGE_HEARTBEAT_SECONDS": "2", "ARCBRIDGE_CA_DIR": "/ca"}
    )
    assert settings.heartbeat_seconds == 2
    assert settings.ca_dir == Path("/ca")


def test_everything_that_is_missing_is_named_at_once_with_an_example() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ({})
    assert len(raised.value.problems) == len(COMPLETE)
    for name in COMPLETE:
        assert any(
            problem.startswith(f"{name} is not set: it must be ")
            for problem in raised.value.problems
        )


def test_an_empty_variable_counts_as_unset() -> None:
    with pytest.raises(SettingsError, match="ARCBRIDGE_REDIS_URL is not set"):
        Settings.from_environ(COMPLETE | {"ARCBRIDGE_REDIS_URL": " "})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ARCBRIDGE_POSTGRES_URL", "mysql://c4n4ry@db/arcbridge"),
        ("ARCBRIDGE_REDIS_URL", "c4n4ry:6379"),
        ("ARCBRIDGE_CONTROL_PLANE_URL", "arcbridge.example.org"),
        ("ARCBRIDGE_RELAY_ADDRESS", "relay.example.org"),
        ("ARCBRIDGE_RELAY_ADDRESS", "relay.example.org:99999"),
        ("ARCBRIDGE_OIDC_ISSUER", "login"),
        ("ARCBRIDGE_OIDC_TENANTS", "demo"),
        ("ARCBRIDGE_OIDC_TENANTS", "{}"),
        ("ARCBRIDGE_OIDC_TENANTS", '{"a": 1}'),
        ("ARCBRIDGE_TRUST_DOMAIN", "spiffe://arcbridge"),
        ("ARCBRIDGE_HEARTBEAT_SECONDS", "0"),
        ("ARCBRIDGE_POLL_SECONDS", "soon"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(name: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be ") as raised:
        Settings.from_environ(COMPLETE | {name: wrong})
    assert len(raised.value.problems) == 1
    assert "c4n4ry" not in str(raised.value)


def test_secrets_are_not_in_the_representation() -> None:
    assert "c4n4ry" not in repr(Settings.from_environ(COMPLETE))


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.from_environ(COMPLETE).heartbeat_seconds = 1  # type: ignore[misc] # the point
    with pytest.raises(TypeError):
        Settings.from_environ(COMPLETE).oidc_tenants["x"] = "y"  # type: ignore[index] # the point


def test_each_field_is_one_variable() -> None:
    assert {variable(field.name) for field in dataclasses.fields(Settings)} >= set(COMPLETE)
