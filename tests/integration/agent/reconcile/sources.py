"""Charts and overlays that the tests deploy, and the documents that ask for them."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from typing import Any

import yaml

from dev.trial.release import CLUSTER_ID, Release, document
from shared.contract.canonical import digest_bytes
from shared.contract.helm_source import HelmArchive, HelmSource
from shared.contract.kustomize_source import KustomizeSource
from shared.contract.source import Source

__all__ = [
    "CLUSTER_ID",
    "Release",
    "archive",
    "chart_archive",
    "config_map",
    "document",
    "inline_chart",
    "overlay",
]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
        - name: main
          image: {{ .Values.image }}
          env:
            - {name: GREETING, value: {{ .Values.greeting | quote }}}
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-config}
data:
  greeting: {{ .Values.greeting | quote }}
  {{- if .Values.failRender }}{{ fail "the chart says no" }}{{ end }}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-secret}
stringData: {password: {{ .Values.password | quote }}}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80}]
"""
VALUES = {
    "replicas": 1,
    "image": "nginx:1.27",
    "greeting": "hello",
    "password": "planted-canary-secret",
    "failRender": False,
    "testCommand": "true",
}
SCHEMA = (
    '{"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0}},'
    ' "required": ["replicas"]}'
)


def chart_archive(name: str = "web", version: str = "1.0.0", **templates: str) -> bytes:
    """A chart: a Deployment, a ConfigMap, a Secret, a Service, a values schema, and `templates`."""
    files = {
        "Chart.yaml": yaml.safe_dump({"apiVersion": "v2", "name": name, "version": version}),
        "values.yaml": yaml.safe_dump(VALUES),
        "values.schema.json": SCHEMA,
        "templates/deployment.yaml": DEPLOYMENT,
        "templates/config.yaml": CONFIG,
        **{f"templates/{key}.yaml": text for key, text in templates.items()},
    }
    return archive({f"{name}/{path}": text for path, text in files.items()})


def archive(files: dict[str, str]) -> bytes:
    """A gzipped tar archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)  # the same files, the same digest


def inline_chart(content: bytes) -> Source:
    """A chart as it travels in a document."""
    encoded = base64.b64encode(content).decode()
    return Source(
        helm=HelmSource(archive=HelmArchive(content=encoded, digest=digest_bytes(content)))
    )


def overlay(*objects: dict[str, Any], **more: str) -> Source:
    """An overlay of these objects."""
    files = {
        "kustomization.yaml": "resources: [objects.yaml]\n",
        "objects.yaml": yaml.safe_dump_all(list(objects)),
        **more,
    }
    return Source(kustomize=KustomizeSource(files=files))


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
