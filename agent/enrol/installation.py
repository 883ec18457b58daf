"""Makes the ArcBridgeCluster that an installation's manifest carries in its bootstrap Secret.

Once: the entry is taken away when it is used, so a resource that someone deletes stays deleted. A
resource that exists is never changed.
"""

from __future__ import annotations

import json
from typing import Any

from agent.cluster.resource import API_VERSION, KIND
from agent.credentials.secret import read_secret
from agent.errors import KubeAlreadyExists
from agent.kube.client import KubeClient
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

BOOTSTRAP_SECRET = "arcbridge-bootstrap"  # noqa: S105 - the name of a Secret
CLUSTER_KEY = "cluster.json"


async def take_up_installation(kube: KubeClient, namespace: str) -> None:
    """Create the resource if the Secret holds one. Raises KubeError."""
    text = (await read_secret(kube, namespace, BOOTSTRAP_SECRET)).get(CLUSTER_KEY)
    if text is None:
        return
    body = _cluster(text)
    if body is not None:
        clusters = await kube.resource(API_VERSION, KIND)
        try:
            await kube.create(clusters, body)
            log.info("cluster resource made from the installation", name=body["metadata"]["name"])
        except KubeAlreadyExists:
            log.info("cluster resource exists, it is left as it is")
    secrets = await kube.resource("v1", "Secret")
    await kube.patch(secrets, BOOTSTRAP_SECRET, namespace, {"data": {CLUSTER_KEY: None}})


def _cluster(text: str) -> dict[str, Any] | None:
    """The resource; None (logged) for what is none: nothing else is ever created from here."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or (body.get("apiVersion"), body.get("kind")) != (
        API_VERSION,
        KIND,
    ):
        log.warning("the installation's cluster resource is not readable")
        return None
    return body
