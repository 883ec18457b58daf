"""Where the API server is and how to prove who we are there.

In a pod that is the service account; elsewhere a kubeconfig. Both are read here and not by the
kubernetes package, which would cost every idle agent ten megabytes of memory and its image thirty.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KubeUnreachable
from agent.kube.credentials import Anonymous, Credential, TokenFile

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ClusterAccess:
    """A loaded configuration. `host` may carry a path."""

    host: str
    tls: ssl.SSLContext | None
    """None for plain http."""
    proxy: str | None = None
    server_name: str | None = None
    """The name that the server's certificate is checked against, where it is not the host's."""
    credential: Credential = Anonymous()  # noqa: RUF009 - it has no state

    @classmethod
    async def load(cls, kubeconfig: Path | None) -> ClusterAccess:
        """Read a kubeconfig, or the pod's service account when there is none.

        Raises KubeUnreachable when neither is there or readable.
        """
        if kubeconfig is None:
            return await asyncio.to_thread(in_cluster, os.environ, SERVICE_ACCOUNT)
        from agent.kube.kubeconfig import read_kubeconfig  # needs YAML; a pod does not need it

        return await asyncio.to_thread(read_kubeconfig, kubeconfig, os.environ)

    async def headers(self) -> dict[str, str]:
        """The headers that authenticate a request; renews a token that is about to end."""
        authorization = await self.credential.authorization()
        return {"Authorization": authorization} if authorization else {}


def in_cluster(environ: Mapping[str, str], directory: Path) -> ClusterAccess:
    """The pod's own service account. Raises KubeUnreachable outside a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token, roots = directory / "token", directory / "ca.crt"
    if not host or not port:
        raise KubeUnreachable("no usable cluster access: no KUBECONFIG, and not in a pod")
    try:
        token.read_bytes()
        context = tls_context(roots.read_text())
    except (OSError, ValueError) as error:
        raise KubeUnreachable(
            f"no usable cluster access in the pod's service account: {error}"
        ) from error
    name = f"[{host}]" if ":" in host else host
    # A proxy of the environment leads out of the cluster; its own API server is inside.
    return ClusterAccess(f"https://{name}:{port}", context, credential=TokenFile(token))


def tls_context(roots: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """A client's context that trusts `roots` (PEM), or the system's. Raises ValueError."""
    context = ssl.create_default_context(cadata=roots)
    # Cluster CAs made by older installers lack the key identifiers that strict mode asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
