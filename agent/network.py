"""What the cluster's network asks of every program that the agent is or runs: one set of roots to
trust, and a proxy that is not asked for what is inside the cluster.

Set in the process's own environment before anything is opened, because helm and kubectl know no
other way: so all of them, and Python's TLS, see the same.
"""

from __future__ import annotations

import ssl
from collections.abc import MutableMapping
from pathlib import Path

from agent.errors import AgentError
from agent.proxies import with_cluster_unproxied
from agent.settings import AgentProcessSettings

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep their roots: Debian, Red Hat, Alpine."""


class RootsUnusable(AgentError):
    """The additional roots cannot be read, or are no certificates."""


def prepare(settings: AgentProcessSettings, environ: MutableMapping[str, str]) -> None:
    """Change `environ`. Raises RootsUnusable."""
    if settings.ca_file is not None:
        environ["SSL_CERT_FILE"] = str(_with_system_roots(settings.ca_file, settings.state_dir))
    if settings.kubeconfig is None and _has_proxy(environ):
        environ["NO_PROXY"] = with_cluster_unproxied(environ)
        environ.pop("no_proxy", None)


def _with_system_roots(extra: Path, directory: Path) -> Path:
    """A file of both: SSL_CERT_FILE takes the place of the system's file, and adds nothing."""
    try:
        text = extra.read_text()
        ssl.create_default_context().load_verify_locations(cadata=text)
    except (OSError, ValueError) as error:
        raise RootsUnusable(f"ARCBRIDGE_AGENT_CA_FILE {extra}: {error}") from error
    found = [ssl.get_default_verify_paths().cafile, *_BUNDLES]
    system = next((Path(path) for path in found if path and Path(path).is_file()), None)
    bundle = directory / "roots.pem"
    bundle.write_text("\n".join([system.read_text() if system else "", text]))
    return bundle


def _has_proxy(environ: MutableMapping[str, str]) -> bool:
    names = ("HTTPS_PROXY", "HTTP_PROXY")
    return any(environ.get(name) or environ.get(name.lower()) for name in names)
