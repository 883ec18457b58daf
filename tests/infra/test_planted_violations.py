"""Each check of the Bicep files fails when what it is for is broken: planted in a copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.infra import bicep, test_bicep, test_bicep_and_code

CHECKS = (test_bicep, test_bicep_and_code)
PLANTED = [
    # file, what stands there, what is put there, the check that has to see it
    ("main.bicep", "param location string", "param location string =",
     "the_grammar_reads_every_line"),
    ("main.bicep", "'modules/redis.bicep'", "'modules/cache.bicep'",
     "every_module_is_there_and_gets_its_parameters"),
    ("modules/redis.bicep", "@description", "@description('x')\nparam more string\n\n@description",
     "every_module_is_there_and_gets_its_parameters"),
    ("modules/redis.bicep", "param functionsPrincipalId", "param functionPrincipalId",
     "every_module_is_there_and_gets_its_parameters"),
    ("main.bicep", "redis.outputs.host", "redis.outputs.name",
     "every_output_that_is_read_is_declared"),
    ("modules/redis.bicep", "output host", "output spare string = 'x'\noutput host",
     "every_output_of_a_module_is_read"),
    ("modules/redis.bicep", "output host",
     "@description('x')\nparam spare string = ''\noutput host",
     "every_parameter_is_described_and_used"),
    ("modules/redis.bicep", "output host string = cluster",
     "@description('x')\n@secure()\nparam word string = ''\noutput word string = word\n"
     "output host string = cluster",
     "no_parameter_is_a_secret_and_none_reaches_an_output"),
    ("modules/redis.bicep", "output port int = database.properties.port",
     "output port string = database.listKeys().primaryKey",
     "no_parameter_is_a_secret_and_none_reaches_an_output"),
    ("env/prod.bicepparam", "param logRetentionDays", "param logDays",
     "a_parameter_file_gives_what_is_required_and_what_exists"),
    ("env/dev.bicepparam",
     "param oidcAudience = readEnvironmentVariable('ARCBRIDGE_OIDC_AUDIENCE')\n", "",
     "a_parameter_file_gives_what_is_required_and_what_exists"),
    ("env/prod.bicepparam", "'ZoneRedundant'", "'Sometimes'",
     "a_parameter_file_chooses_allowed_values"),
    ("env/prod.bicepparam", "postgresBackupDays = 35", "postgresBackupDays = '35'",
     "a_parameter_file_gives_values_of_the_right_type"),
    ("env/prod.bicepparam", "zoneRedundant = true", "zoneRedundant = 1",
     "a_parameter_file_gives_values_of_the_right_type"),
    ("env/prod.bicepparam", "logRetentionDays = 90", "logRetentionDays = 90 + 1",
     "a_parameter_file_gives_values_of_the_right_type"),
    ("modules/functions.bicep", "'ARCBRIDGE_POLL_SECONDS'", "'ARCBRIDGE_POLL_MINUTES'",
     "the_functions_app_has_every_setting_of_the_control_plane_and_no_other"),
    ("modules/relay.bicep", "'ARCBRIDGE_TRUST_DOMAIN'", "'ARCBRIDGE_TRUSTED'",
     "the_relay_has_every_setting_of_the_relay_and_no_other"),
    ("modules/registry.bicep", "principalId: databasePrincipalId",
     "principalId: functionsPrincipalId",
     "each_identity_has_the_roles_that_its_code_needs_and_no_other"),
    ("modules/registry.bicep", "7f951dda-4ed3", "8311e382-0749", "built_in_roles_have_their_ids"),
    ("modules/keyvault.bicep", "/sign/action'", "/decrypt/action'",
     "the_signers_may_sign_and_nothing_else"),
    ("modules/redis.bicep", "accessKeysAuthentication: 'Disabled'",
     "accessKeysAuthentication: 'Enabled'", "redis_knows_the_two_programs_and_no_keys"),
    ("modules/relay.bicep", "'postgresql://${identityName}@", "'postgresql://${identityName}:x@",
     "urls_name_a_user_and_no_password"),
    ("modules/alerts.bicep", "platform/TimersFailing.md", "platform/RelayDown.md",
     "every_runbook_of_the_platform_has_an_alert"),
    ("modules/alerts.bicep", "timer run failed", "timer broke",
     "every_event_that_an_alert_looks_for_is_logged_by_the_code"),
    ("modules/database-job.bicep", "'ARCBRIDGE_MIGRATION_POSTGRES_URL'", "'ARCBRIDGE_OWNER_URL'",
     "the_database_job_has_what_its_program_reads"),
    ("main.bicep", "@maxValue(720)", "@maxValue(7200)",
     "limits_of_parameters_are_those_of_the_settings"),
    ("main.bicep", "'modules/redis.bicep'", "'modules/postgres.bicep'", "every_module_is_used"),
    ("main.bicep", "@allowed(['standard', 'premium'])\n", "",
     "sizes_kinds_and_regions_are_chosen_from_a_list"),
    ("modules/keyvault.bicep", "'premium']", "'premium', 'golden']",
     "the_modules_allow_what_main_allows"),
    ("modules/alerts.bicep", "platform/RelayDown.md", "platform/RelayGone.md",
     "every_alert_names_a_runbook_that_exists"),
]  # fmt: skip


def failing(module: ModuleType) -> set[str]:
    """Names of the checks of a module that fail, each tried with all that it is made for."""
    found = set()
    for name, check in vars(module).items():
        if not name.startswith("test_"):
            continue
        names = check.__code__.co_varnames[: check.__code__.co_argcount]
        cases: list[dict[str, object]] = [{}]
        if names == ("path",) and "parameter_file" in name:
            cases = [{"path": path} for path in module.PARAMETER_FILES]
        elif names == ("path",):
            more = module.PARAMETER_FILES if "grammar" in name else []
            cases = [{"path": path} for path in (*module.FILES, *more)]
        elif names == ("module",):
            cases = [{"module": each} for each in ("functions.bicep", "relay.bicep")]
        elif names:
            continue  # not of the Bicep files
        for case in cases:
            try:
                check(**case)
            except (AssertionError, KeyError, ValueError, OSError):
                found.add(name.removeprefix("test_"))
    return found


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have the checks look at another folder."""
    values = {
        "BICEP": folder,
        "MAIN": folder / "main.bicep",
        "FILES": sorted(folder.rglob("*.bicep")),
        "PARAMETER_FILES": sorted((folder / "env").glob("*.bicepparam")),
        "MODULES": folder / "modules",
    }
    for module in CHECKS:
        for name, value in values.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bicep"
    shutil.copytree(bicep.BICEP, folder)
    use(monkeypatch, folder)
    monkeypatch.setattr(test_bicep, "PARAMETER_FILES", sorted((folder / "env").iterdir()))
    return folder


def test_nothing_fails_in_the_copy_as_it_is(copied: Path) -> None:
    assert {name for module in CHECKS for name in failing(module)} == set()


@pytest.mark.parametrize(
    ("file", "stands", "planted", "check"),
    PLANTED,
    ids=[f"{p[3]}-{i}" for i, p in enumerate(PLANTED)],
)
def test_what_is_planted_is_found(
    copied: Path, file: str, stands: str, planted: str, check: str
) -> None:
    path = copied / file
    source = path.read_text()
    assert stands in source, "the file has changed: plant it anew"
    path.write_text(source.replace(stands, planted, 1))
    module = next(each for each in CHECKS if hasattr(each, f"test_{check}"))
    assert check in failing(module)


OF_THE_CODE = {
    "what_is_left_to_the_code_is_a_setting_of_the_relay",
    "the_code_that_a_role_is_for_is_there",
}
"""Checks that look at no Bicep file."""


def test_every_check_has_something_planted_against_it() -> None:
    names = {
        name.removeprefix("test_")
        for module in CHECKS
        for name in vars(module)
        if name.startswith("test_")
    }
    assert names - OF_THE_CODE == {check for *_, check in PLANTED}
