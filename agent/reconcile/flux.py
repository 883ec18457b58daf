"""Flux extensions: makes Flux's own objects, pinned, and lets Flux do the rest.

What these objects' conditions say is the extension's status; kstatus reads them like any other
custom resource. Source: Flux's API reference, `source.toolkit.fluxcd.io/v1`,
`helm.toolkit.fluxcd.io/v2` and `kustomize.toolkit.fluxcd.io/v1`.
"""

from __future__ import annotations

from datetime import timedelta

from agent.errors import KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile.manifest_deployer import Build
from agent.reconcile.objects import Object
from agent.reconcile.work import Work
from shared.contract.extension import ResolvedSpec
from shared.contract.flux_source import FluxSource
from shared.contract.reasons import ReasonCode

_SOURCE = "source.toolkit.fluxcd.io/v1"
_HELM = "helm.toolkit.fluxcd.io/v2"
_KUSTOMIZE = "kustomize.toolkit.fluxcd.io/v1"


def flux_build(kube: KubeClient) -> Build:
    """Builds Flux's objects where the cluster has Flux."""

    async def build(work: Work) -> list[Object]:
        source = work.spec.source.flux
        if source is None:
            raise StepFailed(ReasonCode.BUILD_FAILED, "not a flux extension", final=True)
        if work.allowed_namespaces is not None and work.spec.service_account is None:
            raise StepFailed(
                ReasonCode.NAMESPACE_FORBIDDEN,
                "the cluster restricts namespaces, and Flux would apply with rights of its own: "
                "name a serviceAccount",
                final=True,
            )
        objects = flux_objects(work.name, work.spec, source)
        for obj in objects:
            await _require_kind(kube, obj)
        return objects

    return build


async def _require_kind(kube: KubeClient, obj: Object) -> None:
    try:
        await kube.resource(obj["apiVersion"], obj["kind"])
    except KubeNotFound as error:
        raise StepFailed(
            ReasonCode.FLUX_MISSING,
            f"the cluster has no kind {obj['kind']} in {obj['apiVersion']}: Flux is not installed "
            "there, or is too old",
        ) from error


def flux_objects(name: str, spec: ResolvedSpec, source: FluxSource) -> list[Object]:
    """The source and what is made of it. Pure."""
    origin = _origin(name, spec, source)
    return [origin, _release(name, spec, source, origin)]


def _origin(name: str, spec: ResolvedSpec, source: FluxSource) -> Object:
    body: Object = {"url": source.url, "interval": _seconds(source.interval)}
    body["ref"] = {"digest": source.digest} if source.is_oci else {"commit": source.commit}
    if source.secret_ref is not None:
        body["secretRef"] = {"name": source.secret_ref}
    if source.is_oci and source.helm_release is not None:
        # A chart in a registry is one layer of its own type, to be handed on as it is.
        body["layerSelector"] = {
            "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "operation": "copy",
        }
    kind = "OCIRepository" if source.is_oci else "GitRepository"
    return _object(_SOURCE, kind, name, spec, body)


def _release(name: str, spec: ResolvedSpec, source: FluxSource, origin: Object) -> Object:
    reference = {"kind": origin["kind"], "name": name}
    body: Object = {
        "interval": _seconds(source.interval),
        "timeout": _seconds(spec.readiness.timeout),
    }
    if spec.service_account is not None:
        body["serviceAccountName"] = spec.service_account
    if source.kustomization is not None:
        body |= {
            "sourceRef": reference,
            "path": f"./{source.kustomization.path}".removesuffix("/."),
            "prune": source.kustomization.prune,
            "wait": True,
            "targetNamespace": spec.namespace,
        }
        return _object(_KUSTOMIZE, "Kustomization", name, spec, body)
    if source.is_oci:
        body["chartRef"] = reference
    elif source.helm_release is not None:
        body["chart"] = {"spec": {"chart": source.helm_release.chart, "sourceRef": reference}}
    body |= {"releaseName": name, "values": spec.values}
    return _object(_HELM, "HelmRelease", name, spec, body)


def _object(api_version: str, kind: str, name: str, spec: ResolvedSpec, body: Object) -> Object:
    meta = {"name": name, "namespace": spec.namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": body}


def _seconds(value: timedelta) -> str:
    """Flux knows no days."""
    return f"{value.total_seconds():g}s"
