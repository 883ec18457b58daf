"""What the workflows lean on is there, and what they run is named by what it is, not by a tag."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from dev.state import REPOSITORY
from tests.infra.bicep import PARAMETER_FILES

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
OF_A_LAPTOP = {
    "AZURE_PRINCIPAL_ID",  # whoever certifies the issuing key, which no pipeline does
    "AZURE_PRINCIPAL_TYPE",
    "ARCBRIDGE_OPERATOR_ADDRESSES",  # likewise: a pipeline closes Key Vault
    "ARCBRIDGE_DATABASE_IMAGE",  # the relay's, where nothing is said; the step before has run it
}
"""What the parameter files read that a pipeline does not give them."""


@every_workflow
def test_actions_are_pinned_by_commit_with_the_version_beside(path: Path) -> None:
    uses = re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_one_action_has_one_version() -> None:
    text = "".join(path.read_text() for path in WORKFLOWS)
    pins = set(re.findall(r"uses: ([\w./-]+)@(\S+)", text))
    assert len(pins) == len({action for action, _ in pins})


@every_workflow
def test_a_workflow_starts_with_no_rights_and_keeps_no_secret(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert "secrets." not in path.read_text()
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert "permissions" in job


@every_workflow
def test_the_files_that_a_workflow_names_are_there(path: Path) -> None:
    named = re.findall(
        r"\b((?:infra|relay|agent|dev)/[\w./-]+\.\w+|\w+/Dockerfile)", path.read_text()
    )
    for name in named:
        assert (REPOSITORY / name).is_file(), name


def test_programs_among_the_hooks_may_be_run() -> None:
    for script in (REPOSITORY / "infra" / "hooks").glob("*.sh"):
        assert os.access(script, os.X_OK), script.name


of_a_deployment = pytest.mark.parametrize("name", ["deploy.yml", "what-if.yml"])


def given(name: str) -> tuple[dict[str, str], str]:
    """The variables of a workflow's job with what they are set to, and all of its text."""
    text = (REPOSITORY / ".github" / "workflows" / name).read_text()
    [job] = yaml.safe_load(text)["jobs"].values()
    found: dict[str, str] = job["env"]
    later = re.findall(r'^ +echo "(\w+)=(.+)"$', text, re.MULTILINE)
    return found | dict(later), text


@of_a_deployment
def test_a_deployment_gives_the_parameter_files_all_that_they_read(name: str) -> None:
    variables, _ = given(name)
    read = {
        variable
        for path in PARAMETER_FILES
        for variable in re.findall(r"readEnvironmentVariable\('(\w+)'", path.read_text())
    }
    # What is left out is deployed with its default, whatever is set now: groups without roles,
    # or the database from before a restore.
    assert read - OF_A_LAPTOP <= set(variables)


@of_a_deployment
def test_a_variable_that_nobody_set_is_not_deployed_as_an_empty_one(name: str) -> None:
    variables, text = given(name)
    checked = set(re.split(r"[\s\\]+", text.partition("for name in ")[2].partition(";")[0]))
    assert checked <= set(variables)
    may_be_empty = {
        variable
        for path in PARAMETER_FILES
        for variable in re.findall(r"= readEnvironmentVariable\('(\w+)', ''\)", path.read_text())
    }
    for variable, value in variables.items():
        if "vars." in value and "||" not in value:
            assert variable in checked | may_be_empty, variable


def test_a_release_is_deployed_in_the_order_in_which_it_can_be_taken_back() -> None:
    _, text = given("deploy.yml")
    steps = [
        "cosign verify ",
        "cosign verify-blob",
        "az acr import",
        '"$JOB" pre ',
        "az deployment sub create",
        "config-zip",
        "/api/health/ready",
        '"$JOB" post ',
    ]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


def test_an_image_is_scanned_before_it_is_signed() -> None:
    text = (REPOSITORY / ".github" / "workflows" / "release.yml").read_text()
    steps = ["--push .", "anchore/scan-action@", "cosign sign --yes"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
