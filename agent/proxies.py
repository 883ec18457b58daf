"""Which proxy a request goes through: one reading of the environment for everything the agent does.

httpx, gRPC, helm and the Kubernetes clients each read these variables in their own way (gRPC's core
knows only the lower-case names, httpx no networks in NO_PROXY); helm is Go and cannot be told
otherwise, so its rules hold for all: golang.org/x/net/http/httpproxy. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_PORTS = {"https": 443, "http": 80}
IN_CLUSTER = ("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local")
"""What no proxy outside the cluster can reach."""


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL for a request to `url`, None to go directly. Loopback is never proxied."""
    parts = urlsplit(url)
    name = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    proxy = _variable(environ, name)
    host = (parts.hostname or "").lower().rstrip(".")
    if not proxy or not host or _is_loopback(host):
        return None
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if any(_matches(rule, host, port) for rule in _rules(environ)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def with_cluster_unproxied(environ: Mapping[str, str]) -> str:
    """The NO_PROXY that also lets the pod's own API server and services be reached directly."""
    own = (environ.get("KUBERNETES_SERVICE_HOST", ""), *IN_CLUSTER)
    given = [rule.strip() for rule in _variable(environ, "NO_PROXY").split(",")]
    return ",".join(dict.fromkeys(rule for rule in (*given, *own) if rule))


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower()) or ""


def _rules(environ: Mapping[str, str]) -> list[str]:
    rules = _variable(environ, "NO_PROXY").lower().split(",")
    return [rule.strip() for rule in rules if rule.strip()]


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _matches(rule: str, host: str, port: int) -> bool:
    """One entry: `*`, an address, a network, a name, `.name` for what is below it; with a port
    at its end it holds for that port only."""
    if rule == "*":
        return True
    address = _address(host)
    if "/" in rule:
        try:
            return address is not None and address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    wanted, wanted_port = _split_port(rule)
    if wanted_port not in (None, port):
        return False
    if address is not None:
        return address == _address(wanted)
    wanted = wanted.removeprefix("*")
    if wanted.startswith("."):
        return host.endswith(wanted)
    return host == wanted or host.endswith(f".{wanted}")


def _split_port(rule: str) -> tuple[str, int | None]:
    if _address(rule) is not None:
        return rule, None
    name, colon, port = rule.rpartition(":")
    if colon and port.isdigit():
        return name, int(port)
    return rule, None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
