"""Attacks by extensions: what an operator may publish must not take a cluster over."""

from __future__ import annotations

import asyncio
import base64
import io
import tarfile
from typing import Any

from shared.contract.canonical import digest_bytes
from tests.attacks.attack import held, row
from tests.attacks.target import ALLOWED_NAMESPACE, CLUSTERS, RESTRICTED, Target
from tests.integration.agent.reconcile.https_server import Page
from tests.integration.agent.reconcile.sources import archive, chart_archive

VICTIM = CLUSTERS[0]
RINGS = {CLUSTERS[0]: {"ring": "canary"}, CLUSTERS[1]: {"ring": "broad"}}
"""Labels by which a placement means one cluster."""
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}\ndata: {a: b}\n"
OVERLAY = {"kustomization.yaml": "resources: [cm.yaml]\n", "cm.yaml": CONFIG_MAP}


def manifest(
    name: str, source: dict[str, Any], *, cluster: str = VICTIM, **spec: Any
) -> dict[str, Any]:
    """An extension for one cluster, in a namespace of its own."""
    declared = {
        "placement": {"matchLabels": RINGS[cluster]},
        "namespace": name,
        "source": source,
        "readiness": {"timeout": "20s"},
        "rollout": {"stages": [{"name": "all", "maxConcurrent": "100%", "soak": "0s"}]},
    }
    return {"metadata": {"name": name}, "spec": declared | spec}


def files(**replaced: str) -> dict[str, Any]:
    """An overlay in the document itself."""
    return {"kustomize": {"files": {**OVERLAY, **replaced}}}


def fetched(url: str, content: bytes) -> dict[str, Any]:
    """An overlay that the agent downloads."""
    return {"kustomize": {"archive": {"url": url, "digest": digest_bytes(content)}}}


async def ended(target: Target, sources: dict[str, dict[str, Any]]) -> dict[str, str]:
    """How each of them ended on the victim: its reason, and what stands in its namespace."""

    async def one(name: str, source: dict[str, Any]) -> str:
        outcome = await target.verdict(manifest(f"attack-{name}", source))
        found = await target.objects(VICTIM, f"attack-{name}")
        applied = f" and applied {found}" if found else ""
        return f"{outcome['state']} {outcome.get('reason')}{applied}"

    ends = await asyncio.gather(*(one(name, source) for name, source in sources.items()))
    return dict(zip(sources, ends, strict=True))


def told(ends: dict[str, str]) -> str:
    """All of it in one line."""
    return "; ".join(f"{name}: {end}" for name, end in ends.items())


@row(
    "extension",
    "chart and overlay from a source that is not on the tenant's allowlist, or the cluster's own",
    expected="403 PolicyViolated, nothing stored; ArtifactFailed, nothing applied",
)
async def foreign_sources(target: Target) -> str:
    answer = await target.ask(
        "PUT", "artifact-policy", who="otherAdmin", json={"sources": ["https://good.example"]}
    )
    answer.raise_for_status()
    repo = {"chart": "web", "version": "1.0.0"}
    sources = {
        "a chart": {"helm": repo | {"repo": "https://evil.example"}},
        "a name like it": {"helm": repo | {"repo": "https://good.example.evil.example"}},
        "an overlay": fetched("https://evil.example/a.tgz", b""),
    }
    statuses = {}
    for why, source in sources.items():
        body = manifest("attack-policy", source)
        answer = await target.ask("POST", "desired", who="otherAdmin", json=body)
        statuses[why] = (answer.status_code, answer.json().get("code"))
    stored = (await target.ask("GET", "extensions", who="otherAdmin")).json()["items"]
    body = manifest("attack-not-allowed", sources["a chart"], cluster=RESTRICTED)
    outcome = await target.verdict(_in_allowed(body))
    seen = (
        f"{', '.join(f'{why} {status}' for why, (status, _) in statuses.items())}, "
        f"{len(stored)} stored; on the cluster {outcome['state']} {outcome.get('reason')}"
    )
    held(set(statuses.values()) == {(403, "PolicyViolated")} and not stored, seen)
    held(outcome.get("reason") == "ArtifactFailed", seen)
    return seen


def _in_allowed(body: dict[str, Any]) -> dict[str, Any]:
    """The same in the namespace that the restricted cluster allows."""
    return {**body, "spec": {**body["spec"], "namespace": ALLOWED_NAMESPACE}}


@row(
    "extension",
    "digest mismatch, of a chart and of an overlay",
    expected="ArtifactFailed; nothing applied",
)
async def digest_mismatch(target: Target) -> str:
    content = archive(OVERLAY)
    chart = chart_archive()
    repository = target.web("/charts/chart-1.0.0.tgz", Page(chart)).rpartition("/")[0]
    entry = "{name: web, version: 1.0.0, urls: [chart-1.0.0.tgz]}"
    index = f"apiVersion: v1\nentries: {{web: [{entry}]}}\n"
    target.web("/charts/index.yaml", Page(index.encode()))
    wrong = "sha256:" + "0" * 64
    helm = {"repo": repository, "chart": "web", "version": "1.0.0", "digest": wrong}
    overlay = {"url": target.web("/overlay.tgz", Page(content)), "digest": wrong}
    ends = await ended(
        target,
        {"chart-digest": {"helm": helm}, "overlay-digest": {"kustomize": {"archive": overlay}}},
    )
    inline = base64.b64encode(chart).decode()
    carried = {"helm": {"archive": {"content": inline, "digest": wrong}}}
    answer = await target.ask("POST", "desired", json=manifest("attack-inline", carried))
    seen = f"{told(ends)}; one in the document {answer.status_code}"
    held(set(ends.values()) == {"Failed ArtifactFailed"} and answer.status_code == 400, seen)
    return seen


@row(
    "extension",
    "names and values shaped like flags, post-renderers, plugins",
    expected="refused, or plain text to helm",
)
async def flags(target: Target) -> str:
    chart = chart_archive()
    inline = {
        "archive": {
            "content": base64.b64encode(chart).decode(),
            "digest": digest_bytes(chart),
        }
    }
    far = {"repo": "https://charts.example.org", "chart": "web", "version": "1.0.0"}
    refused = {
        "name": manifest("--kubeconfig=x", {"helm": inline}),
        "namespace": manifest("attack-flag", {"helm": inline}, namespace="--post-renderer"),
        "chart": manifest("attack-flag", {"helm": far | {"chart": "--post-renderer=/bin/sh"}}),
        "version": manifest("attack-flag", {"helm": far | {"version": "--devel"}}),
        "repo": manifest("attack-flag", {"helm": far | {"repo": "--plugin"}}),
        "post-renderer": manifest("attack-flag", {"helm": far | {"postRenderer": "/bin/sh"}}),
        "account": manifest("attack-flag", {"helm": inline}, serviceAccount="--as=admin"),
    }
    statuses = {
        why: (await target.ask("POST", "desired", json=body)).status_code
        for why, body in refused.items()
    }
    text = "--kubeconfig=/etc/passwd --post-renderer=/bin/sh $(id) `id`"
    values = {"greeting": text, "--set": text, "--post-renderer": "/bin/sh", "replicas": 1}
    outcome = await target.verdict(manifest("attack-flags", {"helm": inline}, values=values))
    found = await target.kubectl(
        VICTIM, "get", "configmap", "attack-flags-config", "-n", "attack-flags"
    )
    verbatim = found["data"]["greeting"] == text
    seen = f"{statuses}; as values: {outcome['state']}, text unchanged: {verbatim}"
    held(set(statuses.values()) == {400}, seen)
    held(outcome["state"] == "Succeeded" and verbatim, seen)
    return seen


@row(
    "extension",
    "kustomize remote base, exec plugin, helm charts, path outside the root",
    expected="refused; nothing applied",
)
async def overlays_that_reach_out(target: Target) -> str:
    function = "metadata: {annotations: {config.kubernetes.io/function: 'exec: {path: /bin/sh}'}}"
    reaching = {
        "remote": files(**{"kustomization.yaml": "resources: ['https://evil.example/base']\n"}),
        "git": files(**{"kustomization.yaml": "resources: ['github.com/a/b//c?ref=v1']\n"}),
        "outside": files(**{"kustomization.yaml": "resources: [../../../etc/passwd]\n"}),
        "absolute": files(**{"kustomization.yaml": "resources: [/etc/passwd]\n"}),
        "charts": files(
            **{"kustomization.yaml": "helmCharts: [{name: x, repo: 'https://evil.example'}]\n"}
        ),
        "exec": files(**{"kustomization.yaml": "generators: [cm.yaml]\n", "cm.yaml": function}),
        "env": files(
            **{"kustomization.yaml": "secretGenerator: [{name: g, envs: [/proc/self/environ]}]\n"}
        ),
    }
    ends = await ended(target, reaching)
    escaping = await target.ask(
        "POST", "desired", json=manifest("attack-escaping", files(**{"../../out.yaml": "x"}))
    )
    seen = f"{told(ends)}; a path out of the root {escaping.status_code}"
    good = {"Failed ArtifactFailed", "Failed BuildFailed"}
    held(set(ends.values()) <= good and escaping.status_code == 400, seen)
    return seen


@row(
    "extension", "tar slip, symlink, junk in an archive", expected="ArtifactFailed; nothing applied"
)
async def archives_that_reach_out(target: Target) -> str:
    link = tarfile.TarInfo("kustomization.yaml")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(link)
    contents = {
        "slip": archive({**OVERLAY, "../../../tmp/out.yaml": "x"}),
        "symlink": packed.getvalue(),
        "junk": b"junk",
        "huge": archive({**OVERLAY, "zeros": "0" * (65 * 2**20)}),
    }
    sources = {
        name: fetched(target.web(f"/{name}.tgz", Page(content)), content)
        for name, content in contents.items()
    }
    slip = archive({"web/../../etc/x": "1"})
    chart = {"content": base64.b64encode(slip).decode(), "digest": digest_bytes(slip)}
    ends = await ended(target, {**sources, "chart-slip": {"helm": {"archive": chart}}})
    held(set(ends.values()) == {"Failed ArtifactFailed"}, told(ends))
    return told(ends)


@row(
    "extension",
    "cluster-scoped and foreign-namespace objects beyond allowedNamespaces",
    expected="NamespaceForbidden; nothing applied",
)
async def forbidden_namespaces(target: Target) -> str:
    foreign = CONFIG_MAP.replace("{name: taken}", "{name: taken, namespace: kube-system}")
    role = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        "metadata: {name: attack-everything}\n"
        "rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n"
    )
    tries = {
        "its own namespace": (files(), "attack-elsewhere"),
        "kube-system": (files(**{"cm.yaml": foreign}), ALLOWED_NAMESPACE),
        "a ClusterRole": (files(**{"cm.yaml": role}), ALLOWED_NAMESPACE),
    }

    async def one(number: int, source: dict[str, Any], namespace: str) -> str:
        body = manifest(f"attack-allowed-{number}", source, cluster=RESTRICTED, namespace=namespace)
        outcome = await target.verdict(body)
        return f"{outcome['state']} {outcome.get('reason')}"

    ends = await asyncio.gather(*(one(number, *each) for number, each in enumerate(tries.values())))
    stray = [
        *(await target.objects(RESTRICTED, "attack-elsewhere")),
        *(await target.objects(RESTRICTED, ALLOWED_NAMESPACE)),
    ]
    roles = await target.kubectl(RESTRICTED, "get", "clusterroles")
    made = [each for each in roles["items"] if each["metadata"]["name"] == "attack-everything"]
    seen = f"{told(dict(zip(tries, ends, strict=True)))}; applied: {stray or 'nothing'}"
    held(set(ends) == {"Failed NamespaceForbidden"} and not made, seen)
    held(not any("taken" in name for name in stray), seen)
    return seen
