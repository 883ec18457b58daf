"""Attacks on enrolment: `POST /register` is the one call that anybody may make."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.contract.limits import REGISTER_PER_ADDRESS
from tests.attacks.attack import held, row
from tests.attacks.target import Target

TRIES = 50
GUESSES = 40
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def request(key: Key, *extensions: x509.ExtensionType, subject: str | None = None) -> str:
    """A certificate request that asks for more than it should get."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def fresh() -> str:
    """A request as an agent makes it."""
    return request(ec.generate_private_key(ec.SECP256R1()))


async def register(target: Target, token: str, name: str, csr: str) -> httpx.Response:
    """One call from a network address of its own."""
    async with target.from_elsewhere() as client:
        body = {"token": token, "csr": csr, "clusterName": name}
        return await client.post("/api/v1/register", json=body)


@row("register", f"token replay: {TRIES} at once", expected="exactly one certificate")
async def token_replayed(target: Target) -> str:
    token = (await target.new_token())["token"]
    answers = await asyncio.gather(
        *(register(target, token, "attack-replay", fresh()) for _ in range(TRIES))
    )
    statuses = [answer.status_code for answer in answers]
    issued = await target.sql(
        "select count(*) from certificates join clusters using (tenant_id, cluster_id)"
        " where name = 'attack-replay'"
    )
    seen = f"{statuses.count(200)} × 200, {statuses.count(403)} × 403; {issued[0]['count']} stored"
    held(statuses.count(200) == 1 and statuses.count(403) == TRIES - 1, seen)
    held(issued[0]["count"] == 1, seen)
    return seen


@row(
    "register",
    "stolen token on another cluster's name; used; expired; revoked; guessed",
    expected="403, one answer for all",
)
async def token_does_not_hold(target: Target) -> str:
    bound = await target.new_token(clusterName="attack-bound")
    expired = await target.new_token(clusterName="attack-bound")
    revoked = await target.new_token(clusterName="attack-bound")
    await target.sql(
        "update bootstrap_tokens set expires_at = now() - interval '1 second' where token_id = %s",
        expired["id"],
    )
    await target.ask("DELETE", f"bootstrap-tokens/{revoked['id']}")
    used = await target.new_token(clusterName="attack-used")
    (await register(target, used["token"], "attack-used", fresh())).raise_for_status()
    guess = bound["token"].rpartition(".")[0] + "." + "x" * 43
    tries = {
        "stolen": (bound["token"], "attack-other"),
        "used": (used["token"], "attack-used"),
        "expired": (expired["token"], "attack-bound"),
        "revoked": (revoked["token"], "attack-bound"),
        "guessed": (guess, "attack-bound"),
        "no token": ("abt_demo.junk.junk", "attack-bound"),
    }
    answers = {
        why: await register(target, token, name, fresh()) for why, (token, name) in tries.items()
    }
    said = {(a.status_code, a.json()["code"], a.json()["detail"]) for a in answers.values()}
    seen = ", ".join(f"{why} {answer.status_code}" for why, answer in answers.items())
    held(len(said) == 1, f"{seen}; {len(said)} different answers")
    held(next(iter(said))[:2] == (403, "RegistrationRefused"), seen)
    return f"{seen}; one answer"


@row("register", f"{GUESSES} guesses from one address", expected="429 with Retry-After")
async def guessed_again_and_again(target: Target) -> str:
    body = {"token": f"abt_demo.{'0' * 32}.{'x' * 43}", "csr": fresh(), "clusterName": "attack"}
    forged = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(GUESSES // 2)]
    async with target.from_elsewhere() as client:
        started = time.monotonic()
        answers = await asyncio.gather(
            *(
                client.post("/api/v1/register", json=body, headers=headers)
                for headers in [*forged, *({} for _ in range(GUESSES // 2))]
            )
        )
        seconds = time.monotonic() - started
    limited = [answer for answer in answers if answer.status_code == 429]
    async with target.from_elsewhere() as another:
        other = await another.post("/api/v1/register", json=body)
    # However long it took: no more than the burst, and one a second after it; and as much again by
    # the worker's own count, where Redis did not answer in time (shared/services/rate_limit.py).
    most = 2 * (REGISTER_PER_ADDRESS[1] + REGISTER_PER_ADDRESS[0] * (seconds + 1))
    looked_at = GUESSES - len(limited)
    seen = (
        f"{looked_at} looked at in {seconds:.1f} s, {len(limited)} answered 429, half of them with "
        f"a forged X-Forwarded-For; another address {other.status_code}"
    )
    held(looked_at <= most and other.status_code == 403, seen)
    held(all(int(each.headers["Retry-After"]) >= 1 for each in limited), seen)
    return seen


@row(
    "register",
    "CSR with CA:TRUE, a foreign SAN, serverAuth, another subject",
    expected="the fields are ignored",
)
async def request_asks_for_more(target: Target) -> str:
    token = await target.new_token(clusterName="attack-greedy")
    greedy = request(
        ec.generate_private_key(ec.SECP256R1()),
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName(
            [
                x509.DNSName("relay.example.org"),
                x509.UniformResourceIdentifier("spiffe://arcbridge.local/tenant/other/cluster/x"),
            ]
        ),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        subject="admin",
    )
    answer = await register(target, token["token"], "attack-greedy", greedy)
    held(answer.status_code == 200, f"{answer.status_code}: {answer.text}")
    leaf = x509.load_pem_x509_certificate(answer.json()["certificateChain"].encode())
    extensions = leaf.extensions
    is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names: Any = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    expected = f"spiffe://arcbridge.local/tenant/demo/cluster/{answer.json()['clusterId']}"
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    subject = leaf.subject.rfc4514_string()
    seen = f"CA:{is_ca}, SAN {len(list(names))} URI of its own, {len(usage)} usage, '{subject}'"
    held(not is_ca and list(uris) == [expected] and len(list(names)) == 1, seen)
    held(usage == [ExtendedKeyUsageOID.CLIENT_AUTH] and "admin" not in subject, seen)
    return seen


@row(
    "register",
    "CSR with a weak key, a broken signature, of 1 MB",
    expected="400 or 413, nothing issued",
)
async def request_is_no_good(target: Target) -> str:
    token = (await target.new_token(clusterName="attack-weak"))["token"]
    good = fresh()
    lines = good.splitlines()
    body = "".join(lines[1:-1])
    broken = body[:-12] + ("A" if body[-12] != "A" else "B") + body[-11:]
    tries = {
        "RSA-1024": request(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - the attack
        "P-192": request(ec.generate_private_key(ec.SECP192R1())),
        "secp256k1": request(ec.generate_private_key(ec.SECP256K1())),
        "broken signature": "\n".join([lines[0], broken, lines[-1], ""]),
        "1 MB": lines[0] + "\n" + "A" * 1_000_000 + "\n" + lines[-1],
        "no request": "junk",
    }
    answers = {why: await register(target, token, "attack-weak", csr) for why, csr in tries.items()}
    seen = ", ".join(f"{why} {answer.status_code}" for why, answer in answers.items())
    stored = await target.sql("select 1 from clusters where name = 'attack-weak'")
    held({answer.status_code for answer in answers.values()} <= {400, 413}, seen)
    held(not stored, f"{seen}; a cluster was stored")
    return f"{seen}; nothing stored"
