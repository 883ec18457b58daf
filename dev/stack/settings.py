"""What a stack is started with, and the environment that each of its processes gets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.backends.process import free_port
from dev.state import REPOSITORY

HTTP_PORT = "ARCBRIDGE_HTTP_PORT"
RELAY_PORT = "ARCBRIDGE_RELAY_PORT"
DEFAULT_HTTP_PORT = 7071
DEFAULT_RELAY_PORT = 8443
TRACES = "traces.jsonl"

SCHEDULES: Mapping[str, str] = {
    "ARCBRIDGE_PACER_SCHEDULE": "*/5 * * * * *",
    "ARCBRIDGE_HEARTBEAT_FLUSH_SCHEDULE": "*/15 * * * * *",
    "ARCBRIDGE_CONNECTIVITY_SWEEP_SCHEDULE": "0 * * * * *",
    "ARCBRIDGE_DRIFT_SWEEP_SCHEDULE": "0 */5 * * * *",
    "ARCBRIDGE_CERTIFICATE_SWEEP_SCHEDULE": "30 * * * * *",
    "ARCBRIDGE_RETENTION_SCHEDULE": "0 30 3 * * *",
}
FAST_SCHEDULES: Mapping[str, str] = {
    **SCHEDULES,
    "ARCBRIDGE_PACER_SCHEDULE": "* * * * * *",
    "ARCBRIDGE_HEARTBEAT_FLUSH_SCHEDULE": "*/2 * * * * *",
    "ARCBRIDGE_CONNECTIVITY_SWEEP_SCHEDULE": "*/5 * * * * *",
    "ARCBRIDGE_DRIFT_SWEEP_SCHEDULE": "*/5 * * * * *",
    "ARCBRIDGE_CERTIFICATE_SWEEP_SCHEDULE": "*/5 * * * * *",
}


def port_of(variable: str, default: int) -> int:
    """A port from the environment. Raises SystemExit with the variable and what it must be."""
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise SystemExit(f"{variable} must be a port from 1 to 65535, not {text!r}")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """How one stack runs."""

    state: Path
    """Its folder below the state directory; it must not be in use by another stack."""
    http_port: int
    relay_port: int
    issuer_port: int = field(default_factory=free_port)
    kube_port: int = field(default_factory=free_port)
    """Chosen here, so that a process that is started again is where it was."""
    hosts: int = 1
    """Processes of the control plane, on one port; a timer runs in one of them at a time."""
    durable: bool = True
    """Whether PostgreSQL survives a crash of the machine."""
    heartbeat_seconds: int = 10
    poll_seconds: int = 30
    certificate_hours: float = 168.0
    """Lifetime of the certificates that are issued."""
    token_lifetime_seconds: int = 86_400
    """Of people's tokens: a day, the most that Entra ID can be set to."""
    schedules: Mapping[str, str] = field(default_factory=lambda: SCHEDULES)
    simulated_clusters: tuple[str, ...] = ()
    extra_environ: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By kind or name (`relay`, `agent`, `agent-eu-1`): variables that it gets beside its own."""

    @property
    def control_plane_url(self) -> str:
        """Where the HTTP API is."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def issuer_url(self) -> str:
        """The base of the OpenID issuers."""
        return f"http://127.0.0.1:{self.issuer_port}"

    @property
    def relay_address(self) -> str:
        """Where agents open their streams."""
        return f"127.0.0.1:{self.relay_port}"

    @property
    def trace_file(self) -> Path:
        """Spans of all processes as JSON lines."""
        return self.state / TRACES

    @property
    def ca_directory(self) -> Path:
        """The development CA."""
        return self.state / "ca"


@dataclass(frozen=True)
class Stores:
    """Where the application finds PostgreSQL and Redis. Both URLs hold a password."""

    postgres_url: str = field(repr=False)
    redis_url: str = field(repr=False)


def base_environ(settings: StackSettings) -> dict[str, str]:
    """What every process gets: the caller's environment without ArcBridge's and kubectl's own."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ARCBRIDGE_") and name != "KUBECONFIG"
    }
    return inherited | {
        "PYTHONPATH": str(REPOSITORY),
        "ARCBRIDGE_TRACE_FILE": str(settings.trace_file),
        "ARCBRIDGE_LOG_LEVEL": os.environ.get("ARCBRIDGE_LOG_LEVEL", "INFO"),
    }


def control_plane_environ(
    settings: StackSettings, stores: Stores, audience: str, tenants: Mapping[str, str]
) -> dict[str, str]:
    """The settings of the Functions app and the relay. `tenants`: directory id to tenant."""
    return base_environ(settings) | {
        "ARCBRIDGE_POSTGRES_URL": stores.postgres_url,
        "ARCBRIDGE_REDIS_URL": stores.redis_url,
        "ARCBRIDGE_CONTROL_PLANE_URL": settings.control_plane_url,
        "ARCBRIDGE_RELAY_ADDRESS": settings.relay_address,
        "ARCBRIDGE_OIDC_ISSUER": f"{settings.issuer_url}/{{tid}}/v2.0",
        "ARCBRIDGE_OIDC_AUDIENCE": audience,
        "ARCBRIDGE_OIDC_TENANTS": json.dumps(dict(tenants)),
        "ARCBRIDGE_CA_DIR": str(settings.ca_directory),
        "ARCBRIDGE_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
        "ARCBRIDGE_POLL_SECONDS": str(settings.poll_seconds),
        "ARCBRIDGE_CERTIFICATE_HOURS": str(settings.certificate_hours),
        **settings.schedules,
    }
