"""Desired extensions to give an agent."""

from __future__ import annotations

import uuid

from shared.contract.canonical import digest
from shared.contract.desired import DesiredExtension, DesiredState
from shared.contract.extension import ResolvedSpec
from shared.contract.kustomize_source import KustomizeSource
from shared.contract.source import Source

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: greeting}}
data: {{text: {text}}}
"""
KUSTOMIZATION = "resources: [greeting.yaml]\n"


def greeting(
    text: str = "hello", *, revision: int = 1, generation: int = 1, traceparent: str | None = None
) -> DesiredExtension:
    """An extension that is one ConfigMap in the namespace `default`."""
    files = {"kustomization.yaml": KUSTOMIZATION, "greeting.yaml": CONFIG_MAP.format(text=text)}
    spec = ResolvedSpec(source=Source(kustomize=KustomizeSource(files=files)), namespace="default")
    return DesiredExtension(
        name="greeting",
        state=DesiredState.PRESENT,
        revision=revision,
        spec_digest=digest(spec.to_canonical()),
        generation=generation,
        rollout_id=uuid.UUID(int=revision),
        spec=spec,
        traceparent=traceparent,
    )
