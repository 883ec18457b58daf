"""Gets tokens from the issuer the way programs do: through its public grants.

For the demo, `make up` and tests, which act for seeded users without a browser.
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

import httpx

from dev.issuer.directory import Client, Directory, User
from dev.issuer.grants import challenge

DEADLINE_SECONDS = 10.0
REDIRECT_URI = "http://127.0.0.1:1/signed-in"


class SignInError(Exception):
    """The issuer refused."""


async def sign_in(base_url: str, directory: Directory, user: User) -> str:
    """A user's access token, by authorization code with PKCE through the sign-in form.

    Raises SignInError when the issuer refuses.
    """
    application = directory.seed.application
    tid = directory.tid_of(user.tenant)
    client = next(each for each in directory.seed.clients if not each.confidential)
    verifier = secrets.token_urlsafe(48)
    state = secrets.token_urlsafe(16)
    form = {
        "client_id": client.id,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": f"openid {application.uri}/{application.scope}",
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        "username": user.name,
        "password": directory.credential(user.name),
    }
    oauth = f"{base_url}/{tid}/oauth2/v2.0"
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False) as http:
        answer = await http.post(f"{oauth}/authorize", data=form)
        query = parse_qs(urlsplit(answer.headers.get("location", "")).query)
        if query.get("state") != [state] or "code" not in query:
            raise SignInError(f"signing in as {user.name} was refused ({answer.status_code})")
        redemption = {
            "grant_type": "authorization_code",
            "client_id": client.id,
            "redirect_uri": REDIRECT_URI,
            "code": query["code"][0],
            "code_verifier": verifier,
        }
        return access_token(await http.post(f"{oauth}/token", data=redemption))


async def sign_in_service(base_url: str, directory: Directory, client: Client) -> str:
    """A service's access token, by client credentials. Raises SignInError when refused."""
    tid = directory.tid_of(client.tenant or "")
    form = {
        "grant_type": "client_credentials",
        "client_id": client.id,
        "client_secret": directory.credential(client.name),
        "scope": f"{directory.seed.application.uri}/.default",
    }
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False) as http:
        return access_token(await http.post(f"{base_url}/{tid}/oauth2/v2.0/token", data=form))


def access_token(answer: httpx.Response) -> str:
    """The access token of a token endpoint's answer."""
    if answer.status_code != httpx.codes.OK:
        raise SignInError(f"the token endpoint answered {answer.status_code}: {answer.text}")
    token: str = answer.json()["access_token"]
    return token
