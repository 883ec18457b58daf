"""The system under attack, and what an attacker has in hand: addresses, accounts, a web server.

The attacker also looks behind the application, as only its owner can: to plant what a thief would
have, and to see what really happened.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
from psycopg.rows import dict_row
from redis.asyncio import Redis

from dev.backends.process import free_port
from dev.issuer.keys import SigningKeys
from dev.stack.settings import FAST_SCHEDULES, StackSettings
from dev.stack.stack import Stack, stack
from dev.stack.surface import Surface
from shared.identity.file_issuer import FileIssuer
from shared.services.cluster_key import ClusterKey
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.relay.agents import Credential
from tests.joined_cluster import JoinedCluster, join

CLUSTERS = ("canary-1", "eu-1")
"""One is attacked by extensions; the other may hold things in one namespace only."""
RESTRICTED = "eu-1"
ALLOWED_NAMESPACE = "attack-allowed"
RELAY_CONNECTIONS = 400
"""What the relay takes here: few enough for machines that allow 1,024 open files."""
EVENTUALLY_SECONDS = 120.0
REQUEST_SECONDS = 60.0
KEPT_ALIVE_SECONDS = 2.0
"""The host closes what was idle for 5 s: who would use it at that moment sees it break."""
PRIVATE_HOST = "localhost"
"""Where the attacker's web server is: agents are told that this host may have a private address."""


@dataclass
class Target:
    """A running system."""

    stack: Stack
    tokens: Mapping[str, str]
    """By person: `reader`, `operator`, `responder`, `admin`, `platform`, `otherAdmin`."""
    http: httpx.AsyncClient
    redis: Redis
    pages: dict[str, Page]
    """What the attacker's web server gives out, by path."""
    web_port: int
    _addresses: Any = field(default_factory=lambda: count(1))

    @property
    def url(self) -> str:
        """Of the HTTP API."""
        return self.stack.settings.control_plane_url

    @property
    def relay_port(self) -> int:
        """Where agents' streams go."""
        return self.stack.settings.relay_port

    @property
    def issuer(self) -> FileIssuer:
        """The issuing CA, as someone would have it who stole its key."""
        return FileIssuer(self.stack.settings.ca_directory)

    @property
    def signing_keys(self) -> SigningKeys:
        """The identity provider's own keys: for tokens that are signed well and wrong otherwise."""
        path = self.stack.settings.state / "issuer" / "keys.json"
        return SigningKeys(path, token_lifetime=timedelta(days=1), clock=lambda: datetime.now(UTC))

    def bearer(self, person: str) -> dict[str, str]:
        """The Authorization header of a person."""
        return {"Authorization": f"Bearer {self.tokens[person]}"}

    def web(self, path: str, page: Page) -> str:
        """Put a page on the attacker's web server; its URL."""
        self.pages[path] = page
        return f"https://{PRIVATE_HOST}:{self.web_port}{path}"

    async def ask(
        self, method: str, path: str, *, who: str | None = "admin", **more: Any
    ) -> httpx.Response:
        """Call the HTTP API below `/api/v1/` as a person, or as nobody."""
        headers = {**(self.bearer(who) if who else {}), **more.pop("headers", {})}
        return await self.http.request(method, f"/api/v1/{path}", headers=headers, **more)

    @asynccontextmanager
    async def from_elsewhere(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a network address of its own (all of 127/8 is loopback)."""
        number = next(self._addresses)
        transport = httpx.AsyncHTTPTransport(local_address=f"127.1.{number // 250}.{number % 250}")
        async with httpx.AsyncClient(
            base_url=self.url, transport=transport, timeout=REQUEST_SECONDS, trust_env=False
        ) as client:
            yield client

    async def new_token(self, **request: Any) -> dict[str, Any]:
        """A bootstrap token, as it is shown once."""
        answer = await self.ask("POST", "bootstrap-tokens", json=request)
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made

    async def enrolled(self, name: str | None = None, **labels: str) -> JoinedCluster:
        """A cluster of the attacker's own, registered as any other."""
        number = next(self._addresses)

        def registered() -> JoinedCluster:
            transport = httpx.HTTPTransport(local_address=f"127.2.{number // 250}.{number % 250}")
            with httpx.Client(
                base_url=self.url, transport=transport, timeout=REQUEST_SECONDS, trust_env=False
            ) as client:
                return join(client, self.bearer("admin"), name or f"attack-{number}", **labels)

        return await asyncio.to_thread(registered)

    def credential(self, cluster: JoinedCluster) -> Credential:
        """What a joined cluster opens its stream with."""
        return Credential(
            key=ClusterKey(cluster.tenant, uuid.UUID(cluster.cluster_id)),
            serial=cluster.serial,
            private_key=cluster.private_key.encode(),
            chain=cluster.certificate_chain.encode(),
            roots=cluster.ca_bundle.encode(),
            not_after=datetime.now(UTC),
        )

    @property
    def owner_url(self) -> str:
        """PostgreSQL as the one who owns the database."""
        return self.stack.stores.postgres_url

    async def sql(self, statement: LiteralString, *values: object) -> list[dict[str, Any]]:
        """What a statement of the database's owner gives."""
        async with await psycopg.AsyncConnection.connect(
            self.owner_url, autocommit=True, connect_timeout=10, row_factory=dict_row
        ) as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    def log(self, program: str) -> str:
        """Everything that a program has written so far."""
        path = self.stack.settings.state / "logs" / f"{program}.log"
        return path.read_text(errors="replace")

    def events(self, program: str) -> list[dict[str, Any]]:
        """The lines of a program's log; what the host says at its start is none."""
        lines = self.log(program).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logs(self) -> dict[str, str]:
        """The logs of all programs."""
        folder = self.stack.settings.state / "logs"
        return {path.name: path.read_text(errors="replace") for path in folder.glob("*.log")}

    def memory_bytes(self, program: str) -> int:
        """Resident memory of a program's process."""
        child = self.stack.children.get(program) or self.stack.agents[program]
        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("a process without memory")

    async def things(self, name: str) -> dict[str, str]:
        """A cluster, an extension and a freeze of this name in tenant demo, and what belongs to
        them, by the placeholder of the routes that are about them."""
        await self.enrolled(name)
        spec = {
            "placement": {"matchLabels": {"arcbridge.io/none": "x"}},
            "namespace": name,
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        }
        manifest = {"metadata": {"name": name}, "spec": spec}
        made = await self.ask("POST", "desired", json=manifest)
        made.raise_for_status()
        freeze = {"startsAt": "2999-01-01T00:00:00Z"}
        (await self.ask("PUT", f"freezes/{name}", json=freeze)).raise_for_status()
        drift = await self.sql(
            "insert into drifts (tenant_id, drift_id, cluster_id, extension, kind, revision)"
            " select tenant_id, gen_random_uuid(), cluster_id, %s, 'silence', 1"
            " from clusters where name = %s returning drift_id",
            name,
            name,
        )
        return {
            "name": name,
            "number": "1",
            "rollout_id": made.json()["rolloutId"],
            "token_id": (await self.new_token())["id"],
            "drift_id": str(drift[0]["drift_id"]),
        }

    async def surface(self) -> Surface:
        """The command line of an admin."""
        return await self.stack.surface("admin")

    async def kubectl(self, cluster: str, *arguments: str) -> Any:
        """What `kubectl -o json` prints."""
        found = next(each for each in self.stack.clusters if each.name == cluster)
        return await (await self.surface()).kubectl_json(found, *arguments)

    async def apply(self, cluster: str, *objects: dict[str, Any]) -> None:
        """Apply objects as an admin of the cluster."""
        found = next(each for each in self.stack.clusters if each.name == cluster)
        text = "\n---\n".join(json.dumps(each) for each in objects)
        await (await self.surface()).kubectl(found, "apply", "-f", "-", stdin=text)

    async def objects(self, cluster: str, namespace: str) -> list[str]:
        """Names of the objects that someone put into a namespace of a cluster."""
        kinds = "configmaps,secrets,services,deployments"
        found = await self.kubectl(cluster, "get", kinds, "-n", namespace)
        names = [f"{each['kind']}/{each['metadata']['name']}" for each in found["items"]]
        return [name for name in names if name != "ConfigMap/kube-root-ca.crt"]

    async def verdict(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Publish an extension and wait until its one target has ended; the target."""
        made = await self.ask("POST", "desired", who="operator", json=manifest)
        held_up = made.status_code not in (200, 201)
        if held_up:
            raise AssertionError(f"not published: {made.text}")
        path = f"rollouts/{made.json()['rolloutId']}/targets"

        async def ended() -> dict[str, Any] | None:
            targets = (await self.ask("GET", path)).json()["items"]
            final = [t for t in targets if t["state"] in ("Succeeded", "Failed", "TimedOut")]
            return final[0] if final else None

        return await eventually(ended)


def slowness() -> float:
    """How many times slower than alone a program may be now: by the processes that wait for a CPU.

    What is promised in seconds is promised for a machine that is not overloaded; 1 on such a one.
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def eventually(look: Callable[[], Any], *, seconds: float = EVENTUALLY_SECONDS) -> Any:
    """What `look` gives once it gives anything true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.1)
        return found


@contextmanager
def trusted_certificates(directory: Path) -> Any:
    """A file with the system's roots and the attacker's own, for agents to believe."""
    bundle = directory / "roots.pem"
    paths = ssl.get_default_verify_paths()
    system = Path(paths.cafile).read_text() if paths.cafile else ""
    bundle.write_text(system + (directory / "cert.pem").read_text())
    yield bundle


def settings_for(state: Path, roots: Path) -> StackSettings:
    """A stack as `make up` has it, with two clusters and timers that run often."""
    return StackSettings(
        state=state,
        http_port=free_port(),
        relay_port=free_port(),
        durable=False,
        poll_seconds=5,
        schedules=FAST_SCHEDULES,
        simulated_clusters=CLUSTERS,
        extra_environ={
            "agent": {
                "ARCBRIDGE_AGENT_PRIVATE_HOSTS": PRIVATE_HOST,
                "SSL_CERT_FILE": str(roots),
            },
            f"agent-{RESTRICTED}": {"ARCBRIDGE_AGENT_ALLOWED_HOSTS": PRIVATE_HOST},
            "relay": {"ARCBRIDGE_RELAY_CONNECTIONS": str(RELAY_CONNECTIONS)},
        },
    )


def allow_many_files() -> None:
    """As many open files as this machine allows: ours, and those of the relay, which inherits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@asynccontextmanager
async def running_target(directory: Path, tell: Callable[[str], None]) -> AsyncIterator[Target]:
    """A system with connected clusters, for the length of the block."""
    pages: dict[str, Page] = {}
    allow_many_files()
    shutil.rmtree(directory / "up", ignore_errors=True)
    async with AsyncExitStack() as opened:
        web_port = opened.enter_context(https_server(directory, pages))
        roots = opened.enter_context(trusted_certificates(directory))
        running = await opened.enter_async_context(
            stack(settings_for(directory / "up", roots), tell)
        )
        await running.connect_all(await running.surface("admin"))
        client = httpx.AsyncClient(
            base_url=running.settings.control_plane_url,
            timeout=REQUEST_SECONDS,
            limits=httpx.Limits(keepalive_expiry=KEPT_ALIVE_SECONDS),
            trust_env=False,
        )
        http = await opened.enter_async_context(client)
        redis = Redis.from_url(running.stores.redis_url, socket_timeout=10)
        opened.push_async_callback(redis.aclose)
        target = Target(running, await running.people.tokens(), http, redis, pages, web_port)
        await _until_connected(target)
        yield target


async def _until_connected(target: Target) -> None:
    async def connected() -> bool:
        answer = await target.ask("GET", "clusters")
        return {
            each["name"] for each in answer.json()["items"] if each["state"] == "Connected"
        } == {*CLUSTERS}

    await eventually(connected)
    patch = json.dumps({"spec": {"allowedNamespaces": [ALLOWED_NAMESPACE]}})
    await target.kubectl(
        RESTRICTED, "patch", "arcbridgeclusters", RESTRICTED, "--type=merge", "-p", patch
    )
