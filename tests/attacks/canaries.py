"""Planted secrets: each may be in the one place that it is meant for, and nowhere else.

Searched are all columns of all tables, all keys and values of Redis and every command it was sent
meanwhile, the logs and spans of all programs, the answers of the HTTP API, and the arguments of the
tools that agents run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from psycopg import sql

from shared.contract.canonical import digest_bytes
from tests.attacks.attack import held, row
from tests.attacks.extensions import VICTIM, manifest
from tests.attacks.target import PRIVATE_HOST, Target, eventually
from tests.integration.agent.reconcile.https_server import Page
from tests.integration.agent.reconcile.sources import chart_archive

MEANT = {"values": {("revisions", "spec"), ("resolved_specs", "spec")}}
"""Columns in which a canary belongs: an extension's values are what is declared."""
LISTS = (
    "clusters", "extensions", "rollouts", "drift", "events", "bootstrap-tokens", "health/summary",
    "extensions/attack-canary/clusters", "clusters/canary-1/events", "clusters/canary-1/extensions",
)  # fmt: skip
LEAKY = """
{{ fail (printf "cannot go on with password=%s" .Values.auth.password) }}
"""
SAMPLE_SECONDS = 0.1
LOOKS = 10


class Canaries:
    """The secrets, each by what it was planted as."""

    def __init__(self) -> None:
        self.by_kind = {
            kind: f"canary-{kind.replace(' ', '-')}-{secrets.token_hex(12)}"
            for kind in (
                "values",
                "live secret",
                "bearer",
                "header",
                "url",
                "assertion",
                "cookie",
                "credentials",
            )
        }

    def add(self, kind: str, secret: str) -> None:
        """One that somebody else made."""
        self.by_kind[kind] = secret

    def __getitem__(self, kind: str) -> str:
        return self.by_kind[kind]

    def found_in(self, text: str) -> set[str]:
        """Which of them stand in a text, plain or in base64."""
        return {
            kind
            for kind, secret in self.by_kind.items()
            if secret in text or _encoded(secret) in text
        }


def _encoded(secret: str) -> str:
    """What a secret is in base64 when it stands alone."""
    return base64.b64encode(secret.encode()).decode().rstrip("=")


@row(
    "logs, status, traces",
    "planted secrets: values, live Secrets, tokens, headers, charts' logins, URLs, our own",
    expected="nowhere but where they are meant to be",
)
async def planted(target: Target) -> str:
    canaries = Canaries()
    async with overheard(target) as heard:
        tried = await _plant(target, canaries)
        places = await _search(target, canaries)
    for where, texts in heard.items():
        places[where] = set().union(*(canaries.found_in(text) for text in texts))
    leaks = {
        f"{kind} in {where}"
        for where, kinds in places.items()
        for kind in kinds
        if where not in {".".join(column) for column in MEANT.get(kind, ())}
    }
    meant = any("values" in kinds for where, kinds in places.items() if "specs" in where)
    seen = f"{len(canaries.by_kind)} secrets, {len(places)} places, {tried}; {len(leaks)} leaks"
    held(meant, f"{seen}: the search finds not even what is there")
    held(not leaks, f"{seen}: {sorted(leaks)}")
    return seen


async def _plant(target: Target, canaries: Canaries) -> str:
    """Use every secret as somebody would, well and badly."""
    made = await target.new_token(clusterName="attack-canary")
    canaries.add("bootstrap token", made["token"].rpartition(".")[2])
    canaries.add("access token", target.tokens["admin"].rpartition(".")[2])
    joined = await target.enrolled("attack-canaries")
    canaries.add("agent's key", _inner(joined.private_key))
    state = target.stack.settings.state
    canaries.add("database login", (state / "login.password").read_text())
    canaries.add("redis password", target.stack.stores.redis_url.split("@")[0].rpartition(":")[2])
    await _plant_in_calls(target, canaries, made["token"])
    ends = await asyncio.gather(
        _plant_in_values(target, canaries),
        _plant_in_failures(target, canaries),
        _plant_in_credentials(target, canaries),
    )
    return "; ".join(ends)


async def _plant_in_calls(target: Target, canaries: Canaries, token: str) -> None:
    """Credentials that are good, bad, and in the wrong places."""
    for headers in (
        {"Authorization": f"Bearer {canaries['bearer']}"},
        {"Authorization": f"Basic {canaries['header']}"},
        {"Cookie": f"session={canaries['cookie']}", "X-Api-Key": canaries["header"]},
        {"Authorization": f"Bearer eyJhbGciOiJFUzI1NiJ9.{canaries['assertion']}.x"},
    ):
        for path in ("clusters", "desired"):
            await target.ask("GET", path, who=None, headers=headers)
    await target.ask("GET", "clusters", params={"access_token": canaries["bearer"]})
    body = {"token": token, "csr": "junk", "clusterName": "attack-canary"}
    async with target.from_elsewhere() as client:
        await client.post("/api/v1/register", json=body)
        await client.post("/api/v1/register", json=body | {"clusterName": "attack-elsewhere"})
    helm = {"chart": "web", "version": "1.0.0"}
    for repo in (
        f"https://user:{canaries['url']}@charts.example.org",
        f"https://charts.example.org/?token={canaries['url']}",
    ):
        source = {"helm": helm | {"repo": repo}}
        answer = await target.ask("POST", "desired", json=manifest("attack-url", source))
        held(answer.status_code == 400, f"credentials in a URL: {answer.status_code}")
    git = {"url": f"https://user:{canaries['url']}@git.example.org/a", "commit": "0" * 40}
    flux = {"flux": git | {"kustomization": {}}}
    answer = await target.ask("POST", "desired", json=manifest("attack-url", flux))
    held(answer.status_code == 400, f"credentials in Flux's URL: {answer.status_code}")


def chart(content: bytes) -> dict[str, Any]:
    """A chart in the document."""
    archive = {"content": base64.b64encode(content).decode(), "digest": digest_bytes(content)}
    return {"helm": {"archive": archive}}


async def _plant_in_values(target: Target, canaries: Canaries) -> str:
    """A secret value that is applied, and then changed in the cluster: drift of a Secret."""
    values = {"password": canaries["values"], "auth": {"token": canaries["values"]}}
    name = "attack-canary"
    body = manifest(
        name, chart(chart_archive()), values=values, drift={"mode": "warn", "interval": "1s"}
    )
    outcome = await target.verdict(body)
    held(outcome["state"] == "Succeeded", f"the planted chart {outcome}")
    patch = json.dumps({"stringData": {"password": canaries["live secret"]}})
    await target.kubectl(VICTIM, "patch", "secret", f"{name}-secret", "-n", name, "-p", patch)

    async def drifted() -> Any:
        found = await target.ask("GET", "drift", params={"extension": name})
        return found.json()["items"]

    return f"{len(await eventually(drifted))} drift of a Secret"


async def _plant_in_failures(target: Target, canaries: Canaries) -> str:
    """Secret values of charts that fail: by their schema, and by a template that says them."""
    values = {"auth": {"password": canaries["values"]}}
    sources = {
        "attack-schema": (chart_archive(), {**values, "replicas": canaries["values"]}),
        "attack-fail": (chart_archive(leaky=LEAKY), values),
    }
    outcomes = await asyncio.gather(
        *(
            target.verdict(manifest(name, chart(content), values=given))
            for name, (content, given) in sources.items()
        )
    )
    states = {outcome["state"] for outcome in outcomes}
    held(states == {"Failed"}, f"charts that should fail: {outcomes}")
    return f"{len(outcomes)} charts that fail"


async def _plant_in_credentials(target: Target, canaries: Canaries) -> str:
    """The login of a chart repository, in a Secret of the cluster: taken once, refused once."""
    login = base64.b64encode(f"robot:{canaries['credentials']}".encode()).decode()
    canaries.add("login", login)
    entry = "{name: web, version: 1.0.0, urls: [web-1.0.0.tgz]}"
    index = f"apiVersion: v1\nentries: {{web: [{entry}]}}\n".encode()
    for path, authorization in (("/mine", f"Basic {login}"), ("/theirs", "Basic other")):
        target.web(f"{path}/index.yaml", Page(index, authorization=authorization))
        target.web(f"{path}/web-1.0.0.tgz", Page(chart_archive(), authorization=authorization))
    outcomes = {}
    for name, path in (("attack-login", "/mine"), ("attack-login-refused", "/theirs")):
        await target.apply(VICTIM, *_secret(name, target.web_port, canaries["credentials"]))
        repo = f"https://{PRIVATE_HOST}:{target.web_port}{path}"
        helm = {"repo": repo, "chart": "web", "version": "1.0.0"}
        source = {"helm": helm | {"credentialsRef": {"name": "login"}}}
        outcomes[path] = (await target.verdict(manifest(name, source)))["state"]
    held(outcomes == {"/mine": "Succeeded", "/theirs": "Failed"}, f"the login: {outcomes}")
    return "a repository's login"


def _secret(namespace: str, port: int, password: str) -> tuple[dict[str, Any], ...]:
    """A namespace with the login that its extension names."""
    meta = {
        "name": "login",
        "namespace": namespace,
        "labels": {"arcbridge.io/credentials-for": "artifacts"},
        "annotations": {"arcbridge.io/hosts": f"{PRIVATE_HOST}:{port}"},
    }
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/basic-auth",
            "metadata": meta,
            "stringData": {"username": "robot", "password": password},
        },
    )


@asynccontextmanager
async def overheard(target: Target) -> AsyncIterator[dict[str, list[str]]]:
    """What passes by for the length of the block: Redis's commands, the tools' arguments."""
    heard: dict[str, list[str]] = {"redis commands": [], "tools' arguments": []}
    watchers = [
        asyncio.create_task(_redis_commands(target, heard["redis commands"])),
        asyncio.create_task(_arguments(heard["tools' arguments"])),
    ]
    try:
        yield heard
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.wait(watchers)


async def _redis_commands(target: Target, heard: list[str]) -> None:
    async with target.redis.monitor() as monitor:
        async for command in monitor.listen():
            heard.append(str(command.get("command")))


async def _arguments(heard: list[str]) -> None:
    """The command lines of helm, of each new process looked at some times: it may still change."""
    looks: Counter[str] = Counter()
    known: set[bytes] = set()
    while True:
        for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - as cheap as it can be
            if looks[pid] < LOOKS:
                looks[pid] += 1
                line = _command_line(pid)
                if b"/helm\0" in line and line not in known:
                    known.add(line)
                    heard.append(line.decode(errors="replace"))
        await asyncio.sleep(SAMPLE_SECONDS)


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def _search(target: Target, canaries: Canaries) -> dict[str, set[str]]:
    """Every place that was looked at, with what was found there."""
    places = await _in_tables(target, canaries)
    places["redis values"] = await _in_redis(target, canaries)
    for name, text in target.logs().items():
        places[name] = canaries.found_in(text)
    places["spans"] = canaries.found_in(target.stack.settings.trace_file.read_text())
    for path in LISTS:
        answer = await target.ask("GET", path)
        held(answer.status_code == 200, f"{path}: {answer.status_code}")
        places[path] = canaries.found_in(answer.text)
    metrics = await target.http.get("/api/metrics")
    places["metrics"] = canaries.found_in(metrics.text)
    return places


async def _in_tables(target: Target, canaries: Canaries) -> dict[str, set[str]]:
    """By `table.column`; partitions are found as the tables that they are of."""
    columns = await target.sql(
        "select c.relname as table, a.attname as column from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
    )
    found = {}
    patterns = [
        f"%{text}%"
        for secret in canaries.by_kind.values()
        for text in (secret, _encoded(secret), secret.encode().hex())
    ]
    for each in columns:
        table, column = each["table"], each["column"]
        statement = sql.SQL("select {0}::text as text from {1} where {0}::text like any(%s)")
        query = statement.format(sql.Identifier(column), sql.Identifier(table)).as_string()
        rows = await target.sql(query, patterns)  # type: ignore[arg-type] # names of the catalog
        found[f"{table}.{column}"] = _kinds(canaries, (str(row["text"]) for row in rows))
    return found


def _kinds(canaries: Canaries, texts: Iterable[str]) -> set[str]:
    return set().union(*(canaries.found_in(text) for text in texts))


async def _in_redis(target: Target, canaries: Canaries) -> set[str]:
    """What is there now; what was there for a moment is among the commands."""
    found = set()
    async for key in target.redis.scan_iter(count=1000):
        dumped = await target.redis.dump(key)
        found |= canaries.found_in(f"{key!r} {(dumped or b'').decode('latin-1')}")
    return found


def _inner(pem: str) -> str:
    """The middle of a key's text: what any copy of it would contain."""
    return pem.splitlines()[1]
