"""The agent's settings: few, because everything else stands in the cluster.

Where the control plane is, which cluster this is and what it allows come from the ArcBridgeCluster
resource; the credential from a Secret. The environment only says how this process runs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Self


class SettingsError(Exception):
    """A setting is missing or wrong; the text names each variable and what it should hold."""


@dataclass(frozen=True)
class AgentProcessSettings:
    """How one agent process runs. Each field is the variable `ARCBRIDGE_AGENT_<FIELD>` unless
    its docstring names another."""

    state_dir: Path
    """Where the journal is: a local disk, not shared with any other process."""
    helm: Path
    """`ARCBRIDGE_HELM`: the helm binary; by default the one on the PATH."""
    kubectl: Path
    """`ARCBRIDGE_KUBECTL`: the kubectl binary; by default the one on the PATH."""
    instance: str
    """Who holds the lease: the pod's name (`POD_NAME`), or host and state directory."""
    namespace: str = "arcbridge-system"
    """The agent's own namespace."""
    cluster: str | None = None
    """Name of the ArcBridgeCluster; needed only where the cluster has several."""
    kubeconfig: Path | None = None
    """`KUBECONFIG`; the pod's service account when it is not set."""
    http_port: int = 8080
    """Health and metrics; 0 picks a free port."""
    http_host: str = "0.0.0.0"  # noqa: S104 - the kubelet probes the pod's address
    """Address that health and metrics listen on."""
    ready_file: Path | None = None
    """Written with the HTTP port once the process serves; removed at the end."""
    ca_file: Path | None = None
    """PEM of roots that the control plane's API is checked with, beside the system's."""
    impersonate: str | None = None
    """User that extensions are applied as, such as
    `system:serviceaccount:arcbridge-system:arcbridge-reconciler`; the agent's own when unset."""
    lease_seconds: float = 15.0
    """How long a leader may be silent before another replica takes over."""
    allowed_hosts: frozenset[str] = frozenset()
    """Hosts, separated by commas, that charts and overlays may come from; every one when unset."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts, separated by commas, that they may come from although their address is private or
    loopback; never link-local. `HTTPS_PROXY` counts for these hosts only."""
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Ranges such as `10.20.0.0/16`, separated by commas, that any host's address may be in."""
    git_limit_mib: int = 256
    """Mebibytes that a Git server may send for one overlay; two such may be on the disk at once."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the environment. Raises SettingsError that lists every problem at once."""
        problems: list[str] = []
        prefix = "ARCBRIDGE_AGENT_"
        state_dir = environ.get(f"{prefix}STATE_DIR", "")
        if not state_dir:
            problems.append(f"{prefix}STATE_DIR: a directory on a local disk")
        settings = cls(
            state_dir=Path(state_dir),
            helm=_tool(environ, "ARCBRIDGE_HELM", "helm", problems),
            kubectl=_tool(environ, "ARCBRIDGE_KUBECTL", "kubectl", problems),
            instance=environ.get("POD_NAME") or _instance(state_dir),
            namespace=environ.get(f"{prefix}NAMESPACE", cls.namespace),
            cluster=environ.get(f"{prefix}CLUSTER") or None,
            kubeconfig=_path(environ, "KUBECONFIG"),
            http_port=int(
                _number(environ, f"{prefix}HTTP_PORT", cls.http_port, 0, 65535, problems)
            ),
            http_host=environ.get(f"{prefix}HTTP_HOST", cls.http_host),
            ready_file=_path(environ, f"{prefix}READY_FILE"),
            ca_file=_path(environ, f"{prefix}CA_FILE"),
            impersonate=environ.get(f"{prefix}IMPERSONATE") or None,
            lease_seconds=_number(
                environ, f"{prefix}LEASE_SECONDS", cls.lease_seconds, 1, 300, problems
            ),
            allowed_hosts=_names(environ.get(f"{prefix}ALLOWED_HOSTS", "")),
            private_hosts=_names(environ.get(f"{prefix}PRIVATE_HOSTS", "")),
            private_networks=_networks(environ, f"{prefix}PRIVATE_NETWORKS", problems),
            git_limit_mib=int(
                _number(environ, f"{prefix}GIT_LIMIT_MIB", cls.git_limit_mib, 32, 2048, problems)
            ),
            log_level=environ.get(f"{prefix}LOG_LEVEL", cls.log_level).upper(),
        )
        if settings.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            problems.append(f"{prefix}LOG_LEVEL: DEBUG, INFO, WARNING or ERROR")
        if problems:
            raise SettingsError(
                "settings cannot be used:\n" + "\n".join(f"  {line}" for line in problems)
            )
        return settings


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    text = environ.get(name)
    return Path(text) if text else None


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def _networks(
    environ: Mapping[str, str], variable: str, problems: list[str]
) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(name) for name in sorted(_names(environ.get(variable, ""))))
    except ValueError as error:
        problems.append(f"{variable}: ranges such as 10.20.0.0/16 ({error})")
        return ()


def _tool(environ: Mapping[str, str], variable: str, name: str, problems: list[str]) -> Path:
    found = environ.get(variable) or shutil.which(name, path=environ.get("PATH"))
    if not found or not os.access(found, os.X_OK):
        problems.append(f"{variable}: path of the {name} binary (not on the PATH)")
    return Path(found or name)


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    least: float,
    most: float,
    problems: list[str],
) -> float:
    try:
        value = float(environ.get(name, default))
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        problems.append(f"{name}: a number from {least:g} to {most:g}")
        return default
    return value


def _instance(state_dir: str) -> str:
    # The state directory is locked by its process, so the name is never used twice at once.
    directory = hashlib.sha256(str(Path(state_dir).absolute()).encode()).hexdigest()[:8]
    return f"{socket.gethostname()}-{directory}"
