"""Registers ArcBridge in the directory, and makes whoever runs this its first administrator.

    python infra/hooks/entra_app.py --name arcbridge-prod --tenant demo

One application with a role for each of ArcBridge's, a scope for people, and sign-in for the command
line; a service principal for it; the roles `admin` and `platform-admin` for the caller, who hands
out all others. Run again it brings the application up to date and takes no role from anybody. Needs
`az login` as someone who may register applications. No secret is made: who calls has an identity.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.contract.states import Role

GRAPH = "https://graph.microsoft.com/v1.0"
NAMESPACE = uuid.UUID("6a1fc2a6-5f0e-4d55-9a5b-4f5d3a6c1e07")
"""Ids of roles and scopes are made from their names, so that every registration has the same."""
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
FIRST = (Role.ADMIN, Role.PLATFORM_ADMIN)
SCOPE = "access"
COMMAND_SECONDS = 120
ATTEMPTS = 8
PAUSE_SECONDS = 5.0
NOT_YET = ("Request_ResourceNotFound", "NoBackingApplicationObject", "does not reference a valid")
"""What a directory answers that has not told all of its replicas of a new application yet."""
Document = dict[str, Any]


class CommandFailedError(Exception):
    """A command ended with an error; the text is what it said."""


def stable_id(kind: str, name: str) -> str:
    """The id of a role or scope."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


def application(name: str) -> Document:
    """What the application is to be (Microsoft Graph, `application`)."""
    scope = stable_id("scope", SCOPE)
    return {
        "displayName": f"ArcBridge ({name})",
        "signInAudience": "AzureADMyOrg",
        "isFallbackPublicClient": True,
        "publicClient": {"redirectUris": ["http://localhost"]},
        "appRoles": [
            {
                "id": stable_id("role", role.value),
                "value": role.value,
                "displayName": f"ArcBridge {role.value}",
                "description": f"The role {role.value} of ArcBridge.",
                "allowedMemberTypes": ["User", "Application"],
                "isEnabled": True,
            }
            for role in Role
        ],
        "api": {
            "requestedAccessTokenVersion": 2,
            "oauth2PermissionScopes": [
                {
                    "id": scope,
                    "value": SCOPE,
                    "type": "User",
                    "adminConsentDisplayName": "Use ArcBridge",
                    "adminConsentDescription": "Call ArcBridge in the user's name.",
                    "userConsentDisplayName": "Use ArcBridge",
                    "userConsentDescription": "Call ArcBridge in your name.",
                    "isEnabled": True,
                }
            ],
            "preAuthorizedApplications": [{"appId": AZURE_CLI, "delegatedPermissionIds": [scope]}],
        },
    }


def register(name: str) -> tuple[str, str]:
    """Make or renew application and service principal; their application id and object id."""
    where = f"{GRAPH}/applications(uniqueName='{name}')"
    _graph("patch", where, application(name), create=True)
    app_id = str(_graph("get", where)["appId"])
    _graph("patch", where, {"identifierUris": [f"api://{app_id}"]})
    principal = f"{GRAPH}/servicePrincipals(appId='{app_id}')"
    # People without a role are not let in at all.
    _graph("patch", principal, {"appRoleAssignmentRequired": True}, create=True)
    return app_id, str(_graph("get", principal)["id"])


def appoint(principal: str, person: str, roles: Sequence[Role]) -> list[Role]:
    """Give a person those of the roles that it lacks; which ones those were."""
    where = f"{GRAPH}/servicePrincipals/{principal}/appRoleAssignedTo"
    held = {
        each["appRoleId"] for each in _graph("get", where)["value"] if each["principalId"] == person
    }
    missing = [role for role in roles if stable_id("role", role.value) not in held]
    for role in missing:
        body = {
            "principalId": person,
            "resourceId": principal,
            "appRoleId": stable_id("role", role.value),
        }
        _graph("post", where, body)
    return missing


def main(arguments: list[str] | None = None) -> int:
    """0 when ArcBridge is registered and has an administrator."""
    parser = argparse.ArgumentParser(description="Registers ArcBridge in the directory.")
    parser.add_argument("--name", required=True, help="unique name of the application")
    parser.add_argument("--tenant", required=True, help="ArcBridge tenant of this directory")
    chosen = parser.parse_args(arguments)
    try:
        return _register(chosen.name, chosen.tenant)
    except CommandFailedError as error:
        sys.stderr.write(f"ArcBridge could not be registered: {error}\n")
        return 1


def _register(name: str, tenant: str) -> int:
    app_id, principal = register(name)
    person = str(_graph("get", f"{GRAPH}/me")["id"])
    appointed = appoint(principal, person, FIRST)
    directory = json.loads(_run("az", "account", "show", "--output", "json"))["tenantId"]
    _run("azd", "env", "set", "ARCBRIDGE_OIDC_AUDIENCE", app_id)
    _run("azd", "env", "set", "ARCBRIDGE_OIDC_TENANTS", json.dumps({directory: tenant}))
    given = ", ".join(role.value for role in appointed) or "no role that you did not have"
    sys.stdout.write(f"application {app_id}; you were given {given}\n")
    return 0


def _graph(
    method: str, url: str, body: Document | None = None, *, create: bool = False
) -> Document:
    command = ["az", "rest", "--method", method, "--url", url, "--output", "json"]
    if body is not None:
        headers = [
            "Content-Type=application/json",
            *(["Prefer=create-if-missing"] if create else []),
        ]
        command += ["--headers", *headers, "--body", json.dumps(body)]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = _run(*command)
        except CommandFailedError as error:
            if attempt == ATTEMPTS or not any(words in str(error) for words in NOT_YET):
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            break
    return dict(json.loads(answer)) if answer.strip() else {}


def _run(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 - a fixed command, its arguments apart
        command, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(command[:4])}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
