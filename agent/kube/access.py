"""Where the API server is and how to prove who we are there.

The kubernetes package reads kubeconfigs (certificates, tokens, exec plugins, OIDC) and the pod's
service account; only its configuration is used, because its typed client would cost the agent
tens of megabytes.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import KubeUnreachable


@dataclass(frozen=True)
class ClusterAccess:
    """A loaded configuration. `host` may carry a path."""

    host: str
    tls: ssl.SSLContext | None
    """None for plain http."""
    proxy: str | None
    configuration: Any
    """`kubernetes.client.Configuration`, whose hook renews tokens."""

    @classmethod
    async def load(cls, kubeconfig: Path | None) -> ClusterAccess:
        """Read a kubeconfig, or the pod's service account when there is none.

        Raises KubeUnreachable when neither is there or readable.
        """
        return await asyncio.to_thread(_load, kubeconfig)

    async def headers(self) -> dict[str, str]:
        """The headers that authenticate a request; renews a token that is about to end."""
        if not self.configuration.api_key:
            return {}
        # The hook may read a file or run an exec plugin, so it stays off the event loop.
        token = await asyncio.to_thread(
            self.configuration.get_api_key_with_prefix, "BearerToken", "authorization"
        )
        return {"Authorization": token.strip()} if token else {}


def _load(kubeconfig: Path | None) -> ClusterAccess:
    from kubernetes import config as loaders  # heavy: only when a cluster is talked to
    from kubernetes.client import Configuration

    config: Any = loaders  # carries no types
    configuration = Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(configuration)
        else:
            config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    except (config.ConfigException, OSError, ValueError, KeyError) as error:
        origin = "the pod's service account" if kubeconfig is None else str(kubeconfig)
        raise KubeUnreachable(f"no usable cluster access in {origin}: {error}") from error
    host = str(configuration.host).rstrip("/")
    return ClusterAccess(
        host=host,
        tls=_tls(configuration) if host.startswith("https:") else None,
        proxy=configuration.proxy,
        configuration=configuration,
    )


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Cluster CAs made by older installers lack the key identifiers that strict mode asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
