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
DEFAULTED = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
"""Of azd; the parameter files have defaults for them."""


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


@pytest.mark.parametrize("name", ["deploy.yml", "what-if.yml"])
def test_a_deployment_gives_the_parameter_files_what_they_read(name: str) -> None:
    text = (REPOSITORY / ".github" / "workflows" / name).read_text()
    given = set(re.findall(r"^\s+(?:echo \")?(\w+)[:=]", text, re.MULTILINE))
    for path in PARAMETER_FILES:
        needed = re.findall(r"readEnvironmentVariable\('(\w+)'\)", path.read_text())
        assert set(needed) - DEFAULTED <= given, path.name
