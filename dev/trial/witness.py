"""What helm and kubectl say of a trial: the only ground that a step is judged on.

What a version should be is asked of them, too: `helm template`, `helm get manifest` and
`kubectl kustomize` know nothing of the agent. Each call blocks; nothing here changes the cluster
but `disturb` and `clear`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agent.reconcile.objects import EXTENSION_LABEL, ObjectKey, key_of, parse_manifest, placed
from dev.trial.entries import Disturbance, Trial
from dev.trial.tools import Answer, Object, ToolError, Tools

PERSON = "trial-person"
"""The field manager of an edit."""
_WITNESS = "trial-witness"
_WORKLOADS = frozenset({"DaemonSet", "Deployment", "StatefulSet"})
_CONDITIONS = {"APIService": "Available", "CustomResourceDefinition": "Established"}


@dataclass(frozen=True)
class Kind:
    """A kind that the cluster serves."""

    resource: str
    """`deployments.apps`."""
    namespaced: bool


@dataclass
class Witness:
    """Asks about one trial."""

    tools: Tools
    trial: Trial
    known: dict[tuple[str, str], Kind] = field(default_factory=dict)
    """Kinds by (apiVersion, kind), as they were when one was last unknown."""

    # What a version should be

    def promised(self, version: Path) -> list[Object]:
        """Everything of a version before it was ever applied, with a chart's hooks and CRDs."""
        if self.trial.kustomize is not None:
            return self._placed(self._built(version))
        text = self.tools.helm(
            "template", self.trial.name, str(version), "-n", self.trial.namespace,
            "--include-crds", "--values=-", stdin=json.dumps(self.trial.values),
        )  # fmt: skip
        return self._placed(parse_manifest(text))

    def applied(self, version: Path) -> list[Object]:
        """What should stand in the cluster now: by helm's own release, or built once more."""
        if self.trial.kustomize is not None:
            return self._placed(self._built(version))
        manifest = self.tools.helm("get", "manifest", self.trial.name, "-n", self.trial.namespace)
        return self._placed(parse_manifest(manifest))

    def chart(self, version: Path) -> str:
        """`podinfo-6.13.0`, as `helm history` names it; empty for an overlay."""
        if self.trial.helm is None:
            return ""
        facts = yaml.safe_load(self.tools.helm("show", "chart", str(version)))
        return f"{facts['name']}-{facts['version']}"

    def _built(self, version: Path) -> list[Object]:
        below = self.trial.kustomize.path if self.trial.kustomize else "."
        return parse_manifest(self.tools.kubectl("kustomize", str(version / below)))

    def _placed(self, objects: Iterable[Object]) -> list[Object]:
        """Objects in their namespaces; of a kind that is not served yet, as they are."""
        objects = list(objects)
        kinds = self._kinds_of(objects)
        # A kind that comes with the version itself says where it lives only once it is there.
        return [
            placed(obj, self.trial.namespace, namespaced=kind.namespaced) if kind else obj
            for obj, kind in zip(objects, kinds, strict=True)
        ]

    def _kinds_of(self, objects: Sequence[Object]) -> list[Kind | None]:
        wanted = [(str(obj["apiVersion"]), str(obj["kind"])) for obj in objects]
        if not self.known.keys() >= set(wanted):
            self.known = self.kinds()
        return [self.known.get(key) for key in wanted]

    # What is there

    def kinds(self, *verbs: str) -> dict[tuple[str, str], Kind]:
        """Kinds by (apiVersion, kind)."""
        options = [f"--verbs={','.join(verbs)}"] if verbs else []
        # An aggregated API whose server is away makes kubectl fail after it told of all others.
        lines = self.tools.kubectl("api-resources", "--no-headers", *options, check=False)
        found = {}
        for line in filter(None, lines.splitlines()):
            plural, *_, api_version, namespaced, kind = line.split()
            group = api_version.rpartition("/")[0]
            resource = f"{plural}.{group}" if group else plural
            found[api_version, kind] = Kind(resource, namespaced == "true")
        return found

    def present(self, objects: Sequence[Object]) -> dict[ObjectKey, Object]:
        """Those of the objects that are there, as they are."""
        kinds = self._kinds_of(objects)
        known = [obj for obj, kind in zip(objects, kinds, strict=True) if kind]
        if not known:
            return {}
        text = self.tools.kubectl(
            "get", "-f", "-", "--ignore-not-found", "-o", "json", stdin=yaml.safe_dump_all(known)
        )
        if not text.strip():
            return {}
        page: Object = json.loads(text)
        items: list[Object] = page["items"] if page["kind"] == "List" else [page]
        return {key_of(item): item for item in items}

    def differences(self, objects: Sequence[Object]) -> str:
        """What `kubectl diff` says an apply of these would change; empty for nothing."""
        diff = shutil.which("diff")
        if diff is None:
            raise ToolError("kubectl diff needs the program `diff`: install diffutils")
        answer = self.tools.run(
            "kubectl", "diff", "--server-side", "--force-conflicts", f"--field-manager={_WITNESS}",
            "-f", "-", stdin=yaml.safe_dump_all(list(objects)),
            environ={"KUBECTL_EXTERNAL_DIFF": f"{diff} -U1 -N"},
        )  # fmt: skip
        if answer.code > 1:
            raise ToolError(f"kubectl diff: {answer.errors.strip()}")
        return answer.output if answer.code else ""

    def unready(self, objects: Sequence[Object]) -> list[str]:
        """What `kubectl rollout status` and `kubectl wait` have to say against workloads, API
        services and CRDs."""
        said = []
        for obj in objects:
            answer = self._state(obj)
            if answer is not None and answer.code:
                said.append(f"{key_of(obj)}: {(answer.errors or answer.output).strip()}")
        return said

    def _state(self, obj: Object) -> Answer | None:
        kind, name = str(obj["kind"]), obj["metadata"]["name"]
        if kind in _WORKLOADS:
            place = obj["metadata"].get("namespace", "default")
            return self.tools.run(
                "kubectl", "rollout", "status", f"{kind.lower()}/{name}", "-n", place,
                "--timeout=5s",
            )  # fmt: skip
        if kind in _CONDITIONS:
            return self.tools.run(
                "kubectl", "wait", f"{kind.lower()}/{name}", "--timeout=5s",
                f"--for=condition={_CONDITIONS[kind]}",
            )  # fmt: skip
        return None

    def history(self) -> list[Object]:
        """`helm history`, oldest first; empty where there is no such release."""
        releases = json.loads(self.tools.helm("list", "-n", self.trial.namespace, "-o", "json"))
        if self.trial.name not in {release["name"] for release in releases}:
            return []
        return self.tools.history(self.trial.name, self.trial.namespace)

    def labelled(self) -> list[str]:
        """Names of everything in the cluster under the extension's label."""
        kinds = self.kinds("list", "delete").values()
        return self.tools.kubectl(
            "get", ",".join(kind.resource for kind in kinds), "-A", "-o", "name",
            "--ignore-not-found", "-l", f"{EXTENSION_LABEL}={self.trial.name}",
        ).split()  # fmt: skip

    def in_namespace(self) -> frozenset[str]:
        """Names of everything in the trial's namespace but events."""
        return self._names(self.trial.namespace)

    def in_any_namespace(self) -> frozenset[str]:
        """Names of what the cluster itself puts into each namespace, such as its root's
        certificate: what stands in `default`, too."""
        return self._names("default")

    def _names(self, namespace: str) -> frozenset[str]:
        kinds = [
            kind.resource
            for kind in self.kinds("list", "delete").values()
            if kind.namespaced and not kind.resource.startswith("events")
        ]
        names = self.tools.kubectl(
            "get", ",".join(kinds), "-n", namespace, "-o", "name", "--ignore-not-found"
        )
        return frozenset(names.split())

    # The edit

    def disturbed(self, edit: Disturbance) -> Object:
        """The object of an edit, as it is."""
        place = ["-n", edit.namespace or self.trial.namespace]
        return self.tools.get(edit.kind, edit.name, *place)

    def disturb(self, edit: Disturbance, operation: str) -> None:
        """Make the edit, with `replace`, `add` or `remove`."""
        change: dict[str, Any] = {"op": operation, "path": edit.path}
        if operation != "remove":
            change["value"] = edit.value
        self.tools.kubectl(
            "patch", edit.kind, edit.name, "-n", edit.namespace or self.trial.namespace,
            "--type=json", f"-p={json.dumps([change])}", f"--field-manager={PERSON}",
        )  # fmt: skip

    # Afterwards

    def clear(self, objects: Sequence[Object], namespaces: Sequence[str]) -> None:
        """Take away whatever is left: the release, these objects, these namespaces. Raises
        ToolError; ClusterGoneError, with nothing tried, where the cluster does not answer."""
        self.tools.find_cluster()
        place = ["-n", self.trial.namespace]
        self.tools.helm("uninstall", self.trial.name, *place, "--no-hooks", check=False)
        left = list(self.present(objects).values())
        if left:
            self.tools.kubectl(
                "delete", "-f", "-", "--ignore-not-found", "--wait=false",
                stdin=yaml.safe_dump_all(left),
            )  # fmt: skip
        for namespace in namespaces:
            self.tools.kubectl(
                "delete", "namespace", namespace, "--ignore-not-found", "--timeout=50s",
                check=False,
            )  # fmt: skip
