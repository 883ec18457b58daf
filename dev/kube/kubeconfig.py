"""Kubeconfig files for simulated clusters."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from dev.kube.schema import Json


def kubeconfig(name: str, server: str, token: str, ca_bundle: str) -> Json:
    """A kubeconfig with one context, named like the cluster."""
    encoded = base64.b64encode(ca_bundle.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": encoded}}
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def write_private(path: Path, document: Json) -> None:
    """Write YAML that only the owner can read; readers never see half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w") as stream:
        yaml.safe_dump(document, stream, sort_keys=False)
    partial.replace(path)
