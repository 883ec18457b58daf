"""Attacks on the calls that people and services make: forged tokens, and other tenants' things."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import time
from hashlib import sha256
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from functions.access import Who
from functions.registry import endpoints
from tests.attacks.attack import held, row
from tests.attacks.target import Target
from tests.routes import request_for

FLOOD = 150
MAKES_ITS_OWN = frozenset({"freezes_put"})
"""Create or replace: of a name that another tenant uses too, each tenant has its own."""


def claims_of(token: str) -> dict[str, Any]:
    """What a token says."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def segment(value: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes = b"") -> str:
    """A token that no library would make: unsigned, or HS256 with any bytes as the key."""
    text = f"{segment(header)}.{segment(claims)}"
    signature = hmac.digest(key, text.encode(), sha256) if key else b""
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def status_with(target: Target, token: str) -> int:
    """What a call with this token is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    return (await target.ask("GET", "clusters", who=None, headers=headers)).status_code


@row(
    "REST person",
    "alg none, HS256 with the public key, own key under the provider's kid, jwk and jku headers",
    expected="401",
)
async def forged_signatures(target: Target) -> str:
    good = target.tokens["admin"]
    claims, kid = claims_of(good), jwt.get_unverified_header(good)["kid"]
    keys = target.signing_keys
    public = jwt.PyJWK(next(each for each in keys.public()["keys"] if each["kid"] == kid)).key
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    own = rsa.generate_private_key(65537, 2048)
    own_jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))
    url = "https://evil.example/keys"
    signed = {
        "own key": {"kid": kid},
        "jwk header": {"kid": kid, "jwk": own_jwk},
        "jku header": {"kid": kid, "jku": url, "x5u": url},
    }
    tries = {
        "none": by_hand({"alg": "none", "kid": kid}, claims),
        "None": by_hand({"alg": "None", "kid": kid}, claims),
        "HS256": by_hand({"alg": "HS256", "kid": kid}, claims, key=pem),
        "no signature": good.rpartition(".")[0] + ".",
        **{
            why: jwt.encode(claims, own, algorithm="RS256", headers=header)
            for why, header in signed.items()
        },
    }
    statuses = {why: await status_with(target, token) for why, token in tries.items()}
    seen = ", ".join(f"{why} {status}" for why, status in statuses.items())
    held(await status_with(target, good) == 200, "a good token is refused")
    held(set(statuses.values()) == {401}, seen)
    return seen


@row(
    "REST person",
    "wrong aud, iss, tid; missing exp, nbf, iat; expired; future nbf; no scp, each signed well",
    expected="401",
)
async def wrong_claims(target: Target) -> str:
    good = claims_of(target.tokens["admin"])
    other_tid = claims_of(target.tokens["otherAdmin"])["tid"]
    now = int(time.time())
    keys = target.signing_keys
    changed: dict[str, dict[str, Any]] = {
        "aud": {"aud": "another-application"},
        "aud list": {"aud": [good["aud"], "x"]},
        "iss": {"iss": "https://login.evil.example/v2.0"},
        "iss of another tid": {"tid": other_tid},
        "unknown tid": {"tid": "33333333-3333-4333-8333-333333333333"},
        "expired": {"exp": now - 120},
        "future nbf": {"nbf": now + 600},
        "future iat": {"iat": now + 600},
        "no exp": {"exp": None},
        "no nbf": {"nbf": None},
        "no iat": {"iat": None},
        "no tid": {"tid": None},
        "no oid": {"oid": None},
        "no scp": {"scp": None},
        "other scp": {"scp": "User.Read"},
    }
    statuses = {}
    for why, change in changed.items():
        claims = {name: value for name, value in (good | change).items() if value is not None}
        statuses[why] = await status_with(target, keys.sign(claims))
    seen = ", ".join(f"{why} {status}" for why, status in statuses.items())
    held(await status_with(target, keys.sign(good)) == 200, "well-signed tokens are refused")
    held(set(statuses.values()) == {401}, seen)
    return seen


@row(
    "REST person",
    f"flood of {FLOOD} tokens with unknown kids",
    expected="401; at most one fetch of keys in 5 minutes",
)
async def unknown_kid_flood(target: Target) -> str:
    claims = claims_of(target.tokens["admin"])
    own = rsa.generate_private_key(65537, 2048)
    before = _fetches(target)
    tokens = [
        jwt.encode(claims, own, algorithm="RS256", headers={"kid": f"unknown-{number}"})
        for number in range(FLOOD)
    ]
    free = asyncio.Semaphore(20)

    async def one(token: str) -> int:
        async with free:
            return await status_with(target, token)

    statuses = set(await asyncio.gather(*(one(token) for token in tokens)))
    fetches = _fetches(target) - before
    seen = f"{sorted(statuses)}; {fetches} fetches of the signing keys"
    held(statuses == {401} and fetches <= 1, seen)
    return seen


def _fetches(target: Target) -> int:
    """How often the control plane has asked the provider of tenant demo for its keys."""
    issuer = claims_of(target.tokens["admin"])["iss"]
    return sum(
        each["event"].startswith("signing keys ") and each["fields"]["issuer"] == issuer
        for each in target.events("control-plane")
    )


@row("REST person", "headers that a proxy might set as identity", expected="401")
async def proxy_headers(target: Target) -> str:
    principal = base64.b64encode(b'{"claims":[{"typ":"roles","val":"admin"}]}').decode()
    headers = {
        "X-MS-CLIENT-PRINCIPAL": principal,
        "X-MS-CLIENT-PRINCIPAL-ID": claims_of(target.tokens["admin"])["oid"],
        "X-ARR-ClientCert": "MIIB",
        "X-Forwarded-Client-Cert": "URI=spiffe://arcbridge.local/tenant/demo/cluster/x",
    }
    statuses = {}
    for name, value in headers.items():
        answer = await target.ask("GET", "clusters", who=None, headers={name: value})
        statuses[name] = answer.status_code
    seen = ", ".join(f"{name} {status}" for name, status in statuses.items())
    held(set(statuses.values()) == {401}, seen)
    return seen


@row("REST person", "another tenant's id on every route", expected="404 on every route")
async def foreign_ids(target: Target) -> str:
    known = await target.things("attack-known")
    members = [each for each in endpoints() if each.rule.who is Who.MEMBER and each.path]
    statuses = {}
    for each in members:
        if each.name not in MAKES_ITS_OWN:
            answer = await _send(target, request_for(each, known))
            statuses[each.name] = answer.status_code
    wrong = {name: status for name, status in statuses.items() if status != 404}
    good = len(statuses) - len(wrong)
    seen = f"{len(statuses)} routes with a foreign id, {good} × 404 {wrong or ''}"
    held(statuses and not wrong, seen)
    listed = await _listed(target)
    held(not listed, f"{seen}; lists show {sorted(listed)}")
    return f"{seen.strip()}; lists show nothing of another tenant"


async def _send(target: Target, request: Any) -> httpx.Response:
    headers = {**target.bearer("otherAdmin"), **request.headers}
    return await target.http.request(
        request.method, request.path, headers=headers, content=request.content
    )


async def _listed(target: Target) -> set[str]:
    """Lists of another tenant in which a thing of tenant demo stands."""
    found = set()
    for path in ("clusters", "extensions", "rollouts", "freezes", "drift", "bootstrap-tokens"):
        answer = await target.ask("GET", path, who="otherAdmin")
        if re.search(r"attack-known|canary-1", answer.text):
            found.add(path)
    return found
