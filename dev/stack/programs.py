"""The command lines of the stack's processes. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from dev.stack.child import Program
from dev.stack.clusters import Cluster, tool
from dev.stack.settings import StackSettings, base_environ


def python(module: str, *arguments: str) -> list[str]:
    """A module run by this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def issuer(settings: StackSettings) -> Program:
    """The OpenID issuer."""
    ready = settings.state / "run" / "issuer.json"
    command = python(
        "dev.issuer", "--port", str(settings.issuer_port),
        "--state", str(settings.state / "issuer"), "--ready-file", str(ready),
        "--token-lifetime-seconds", str(settings.token_lifetime_seconds),
    )  # fmt: skip
    return Program("issuer", command, base_environ(settings), ready)


def simulator(settings: StackSettings) -> Program:
    """The simulated clusters; what is in them outlives a restart."""
    ready = settings.state / "run" / "kube.json"
    command = python(
        "dev.kube", "--clusters", ",".join(settings.simulated_clusters),
        "--port", str(settings.kube_port),
        "--kubeconfig-dir", str(settings.state / "kubeconfigs"),
        "--state-dir", str(settings.state / "kube"), "--ready-file", str(ready),
    )  # fmt: skip
    return Program("kube", command, base_environ(settings), ready)


def control_planes(settings: StackSettings, environ: Mapping[str, str]) -> list[Program]:
    """The Functions app in the local host, once or several times."""
    return [_control_plane(settings, environ, number) for number in range(settings.hosts)]


def _control_plane(settings: StackSettings, environ: Mapping[str, str], number: int) -> Program:
    suffix = f"-{number + 1}" if number else ""
    ready = settings.state / "run" / f"host{suffix}.json"
    command = python(
        "dev.host", "--port", str(settings.http_port),
        "--state", str(settings.state / f"host{suffix}"), "--ready-file", str(ready),
        *(["--share-port"] if settings.hosts > 1 else []),
    )  # fmt: skip
    return Program(f"control-plane{suffix}", command, environ, ready)


def relay(settings: StackSettings, environ: Mapping[str, str]) -> Program:
    """The relay; its health port is any free one."""
    ready = settings.state / "run" / "relay.json"
    environ = {
        **environ,
        "ARCBRIDGE_RELAY_PORT": str(settings.relay_port),
        "ARCBRIDGE_RELAY_HTTP_PORT": "0",
        "ARCBRIDGE_RELAY_READY_FILE": str(ready),
        "ARCBRIDGE_RELAY_HOST_NAMES": "127.0.0.1,localhost",
        **settings.extra_environ.get("relay", {}),
    }
    return Program("relay", python("relay"), environ, ready)


def agent(settings: StackSettings, cluster: Cluster) -> Program:
    """One cluster's agent, which finds everything else in its cluster."""
    name = f"agent-{cluster.name}"
    ready = settings.state / "run" / f"{name}.json"
    environ = base_environ(settings) | {
        "KUBECONFIG": str(cluster.kubeconfig),
        "ARCBRIDGE_AGENT_CLUSTER": cluster.name,
        "ARCBRIDGE_AGENT_STATE_DIR": str(settings.state / "agents" / cluster.name),
        "ARCBRIDGE_AGENT_HTTP_HOST": "127.0.0.1",
        "ARCBRIDGE_AGENT_HTTP_PORT": "0",
        "ARCBRIDGE_AGENT_READY_FILE": str(ready),
        "ARCBRIDGE_HELM": tool("helm"),
        "ARCBRIDGE_KUBECTL": tool("kubectl"),
        **settings.extra_environ.get("agent", {}),
        **settings.extra_environ.get(name, {}),
    }
    return Program(name, python("agent"), environ, ready)
