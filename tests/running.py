"""A whole control plane as people run it: the app in the development host, the issuer, the CA.

For tests that speak HTTP. Programs run as processes that end with the test process.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dev.issuer.client import sign_in
from dev.issuer.directory import Directory
from dev.state import REPOSITORY
from dev.tether import tethered
from shared.identity import devca

START_SECONDS = 30.0
STOP_SECONDS = 15.0
TENANTS = ("demo", "other")


@dataclass(frozen=True)
class RunningControlPlane:
    """Where it answers, and a token for each seeded person: `admin@demo`, `reader@demo`, …"""

    url: str
    issuer: str
    directory: Directory
    tokens: Mapping[str, str]
    environ: Mapping[str, str]
    master_key: str
    ca_dir: Path

    def bearer(self, person: str) -> dict[str, str]:
        """The Authorization header of a person."""
        return {"Authorization": f"Bearer {self.tokens[person]}"}


@contextmanager
def program(arguments: list[str], ready_file: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """A server process for the length of the block; gives the URL it announced."""
    command = tethered([sys.executable, "-m", *arguments, "--ready-file", str(ready_file)])
    with subprocess.Popen(command, cwd=REPOSITORY, env=dict(environ)) as process:
        try:
            yield _announced(process, ready_file)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _announced(process: subprocess.Popen[bytes], ready_file: Path) -> str:
    ends = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        assert process.poll() is None, "the program ended before it was ready"
        assert time.monotonic() < ends, "the program was not ready in time"
        time.sleep(0.05)
    url: str = json.loads(ready_file.read_text())["url"]
    return url


@contextmanager
def control_plane_processes(
    *,
    postgres_url: str,
    owner_postgres_url: str,
    redis_url: str,
    state: Path,
    settings: Mapping[str, str] | None = None,
) -> Iterator[RunningControlPlane]:
    """Issuer and host on free ports, on a migrated database that gets the two tenants."""
    with psycopg.connect(owner_postgres_url, connect_timeout=10) as connection:
        for tenant in TENANTS:
            connection.execute("insert into tenants (tenant_id) values (%s)", (tenant,))
    ca_dir = state / "ca"
    devca.make(ca_dir)
    with ExitStack() as stack:
        issuer_state = state / "issuer"
        issuer = stack.enter_context(
            program(
                ["dev.issuer", "--port", "0", "--state", str(issuer_state)],
                state / "issuer.json",
                os.environ,
            )
        )
        directory = Directory.open(issuer_state / "credentials.json")
        tids = {directory.tid_of(tenant): tenant for tenant in TENANTS}
        environ = {
            **os.environ,
            "ARCBRIDGE_POSTGRES_URL": postgres_url,
            "ARCBRIDGE_REDIS_URL": redis_url,
            "ARCBRIDGE_CONTROL_PLANE_URL": "http://arcbridge.test",
            "ARCBRIDGE_RELAY_ADDRESS": "127.0.0.1:8443",
            "ARCBRIDGE_OIDC_ISSUER": f"{issuer}/{{tid}}/v2.0",
            "ARCBRIDGE_OIDC_AUDIENCE": directory.seed.application.id,
            "ARCBRIDGE_OIDC_TENANTS": json.dumps(tids),
            "ARCBRIDGE_CA_DIR": str(ca_dir),
            **NEVER,
            **(settings or {}),
        }
        host_state = state / "host"
        url = stack.enter_context(
            program(
                ["dev.host", "--port", "0", "--state", str(host_state)],
                state / "host.json",
                environ,
            )
        )
        yield RunningControlPlane(
            url=url,
            issuer=issuer,
            directory=directory,
            tokens=_tokens(issuer, directory),
            environ=environ,
            master_key=json.loads((host_state / "keys.json").read_text())["master"],
            ca_dir=ca_dir,
        )


NEVER = {
    f"ARCBRIDGE_{timer}_SCHEDULE": "0 0 0 1 1 *"
    for timer in (
        "PACER",
        "HEARTBEAT_FLUSH",
        "CONNECTIVITY_SWEEP",
        "DRIFT_SWEEP",
        "CERTIFICATE_SWEEP",
        "RETENTION",
    )
}
"""Timers run only when a test asks for it."""


def _tokens(issuer: str, directory: Directory) -> dict[str, str]:
    async def all_of_them() -> dict[str, str]:
        return {user.name: await sign_in(issuer, directory, user) for user in directory.seed.users}

    return asyncio.run(all_of_them())
