"""The Job that carries an upgrade out. Pure: a plain object out.

Its pod is the agent's own, as it runs now, with another command: the same image (which is on the
nodes and works), the same account, proxies, certificates and security context.
"""

from __future__ import annotations

import copy
from typing import Any

from agent.upgrade.order import NAME

COMMAND = "upgrade"
_CONTAINER = "agent"
_LABEL = "app.kubernetes.io/name"
_RETRIES = 3
_KEPT_SECONDS = 3600
_SPARE_SECONDS = 600
"""For helm itself, the rollback, and a pod that has to start again."""

Object = dict[str, Any]


def upgrade_job(
    deployment: Object, order_id: str, namespace: str, deadline_seconds: float
) -> Object:
    """The Job for one order, made from the agent's live Deployment. Raises KeyError for one
    that has no container of the agent."""
    template = deployment["spec"]["template"]
    pod = copy.deepcopy(template["spec"])
    found = [item for item in pod["containers"] if item["name"] == _CONTAINER]
    if not found:
        raise KeyError(f"container {_CONTAINER}")
    container = {
        key: value
        for key, value in found[0].items()
        if key not in ("ports", "livenessProbe", "readinessProbe", "startupProbe", "command")
    }
    pod |= {
        "containers": [{**container, "args": [COMMAND]}],
        "restartPolicy": "Never",
    }
    labels = {**(template["metadata"].get("labels") or {}), _LABEL: NAME}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{NAME}-{order_id.lower()}"[:63].rstrip("-"),
            "namespace": namespace,
            "labels": labels,
        },
        "spec": {
            "backoffLimit": _RETRIES,
            # Never two helms at once: the next pod waits until the one before is really gone.
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": int(deadline_seconds * (_RETRIES + 1) + _SPARE_SECONDS),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
