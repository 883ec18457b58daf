"""Drives the real helm 4 binary. Only this module knows its arguments.

Arguments are a fixed list: everything that came from outside stands behind `--name=` or after
`--`, so it can never be read as a flag. Values travel in a file that only the agent can read.
Post-renderers, plugins and repository aliases are never used, and helm gets directories of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.drivers.process import Finished, environment, run_tool
from agent.json_text import json_text
from shared.telemetry.redaction import is_secret_name

_START_SECONDS = 15.0
"""What helm may take beyond the timeout that it was given itself."""


@dataclass(frozen=True)
class HelmTarget:
    """Which release, where, and in whose name."""

    release: str
    namespace: str
    as_user: str | None = None
    """`system:serviceaccount:NAMESPACE:NAME` to impersonate; None for the agent itself."""


@dataclass(frozen=True)
class Upgrade:
    """What `helm upgrade --install` is asked to do."""

    chart: Path
    values: Mapping[str, Any]
    labels: Mapping[str, str]
    """Kept on the release's Secret."""
    timeout_seconds: float
    skip_crds: bool = False
    description: str = ""
    keep_values: bool = False
    """Keep what the release was given before, below these values."""
    take_ownership: bool = False
    """Take over objects that helm did not make."""


class Helm:
    """One helm installation with private directories."""

    def __init__(
        self, binary: Path, work_dir: Path, kubeconfig: Path | None, *, history_max: int
    ) -> None:
        self._binary = binary
        self._work_dir = work_dir
        self._kubeconfig = kubeconfig
        self._history_max = history_max

    async def upgrade(self, target: HelmTarget, upgrade: Upgrade) -> None:
        """Install or upgrade; returns once hooks have ended, readiness is the caller's. Raises
        ToolError with helm's words."""
        await self._upgrade(target, upgrade, [f"--history-max={self._history_max}"])

    async def render(self, target: HelmTarget, upgrade: Upgrade) -> str:
        """The manifest and the hooks that this upgrade would apply, rendered with the cluster at
        hand as the upgrade itself would be. Raises ToolError."""
        finished = await self._upgrade(target, upgrade, ["--dry-run=server", "--output=json"])
        answer = json.loads(finished.stdout)
        hooks = [hook.get("manifest", "") for hook in answer.get("hooks") or ()]
        return "\n---\n".join([answer.get("manifest") or "", *hooks])

    async def test(self, target: HelmTarget, *, timeout_seconds: float) -> None:
        """Run the chart's test hooks. Raises ToolError when one fails."""
        arguments = [
            "test",
            *self._where(target),
            f"--timeout={timeout_seconds:.0f}s",
            "--",
            target.release,
        ]
        await self._run(arguments, deadline_seconds=timeout_seconds + _START_SECONDS)

    async def uninstall(
        self, target: HelmTarget, *, timeout_seconds: float, keep_history: bool, hooks: bool = True
    ) -> None:
        """Remove a release; one that is not there is no error. Raises ToolError."""
        arguments = [
            "uninstall",
            *self._where(target),
            "--ignore-not-found",
            f"--timeout={timeout_seconds:.0f}s",
            *(["--keep-history"] if keep_history else []),
            *([] if hooks else ["--no-hooks"]),
            "--",
            target.release,
        ]
        await self._run(arguments, deadline_seconds=timeout_seconds + _START_SECONDS)

    async def rollback(
        self, target: HelmTarget, revision: int, *, timeout_seconds: float, description: str
    ) -> None:
        """Make the content of an earlier revision the newest one. Raises ToolError."""
        arguments = [
            "rollback",
            *self._where(target),
            "--server-side=true",
            "--force-conflicts",
            f"--history-max={self._history_max}",
            f"--timeout={timeout_seconds:.0f}s",
            f"--description={description}",
            "--",
            target.release,
            str(revision),
        ]
        await self._run(arguments, deadline_seconds=timeout_seconds + _START_SECONDS)

    async def _upgrade(self, target: HelmTarget, upgrade: Upgrade, extra: list[str]) -> Finished:
        labels = ",".join(f"{key}={value}" for key, value in sorted(upgrade.labels.items()))
        with self._private_file(upgrade.values) as values:
            arguments = [
                "upgrade",
                "--install",
                *self._where(target),
                f"--values={values}",
                "--reset-then-reuse-values" if upgrade.keep_values else "--reset-values",
                *(["--take-ownership"] if upgrade.take_ownership else []),
                "--server-side=true",
                "--force-conflicts",
                "--hide-notes",
                f"--labels={labels}",
                f"--timeout={upgrade.timeout_seconds:.0f}s",
                f"--description={upgrade.description or 'Reconciled by ArcBridge'}",
                *(["--skip-crds"] if upgrade.skip_crds else []),
                *extra,
                "--",
                target.release,
                str(upgrade.chart),
            ]
            return await self._run(
                arguments,
                deadline_seconds=upgrade.timeout_seconds + _START_SECONDS,
                secrets=list(secret_values(upgrade.values)),
            )

    def _where(self, target: HelmTarget) -> list[str]:
        arguments = [f"--namespace={target.namespace}"]
        if self._kubeconfig is not None:
            arguments.append(f"--kubeconfig={self._kubeconfig}")
        if target.as_user is not None:
            arguments.append(f"--kube-as-user={target.as_user}")
        return arguments

    async def _run(
        self, arguments: list[str], *, deadline_seconds: float, secrets: Sequence[str] = ()
    ) -> Finished:
        home = self._work_dir / "helm"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = environment(
            {
                "HOME": str(home),
                "HELM_CACHE_HOME": str(home / "cache"),
                "HELM_CONFIG_HOME": str(home / "config"),
                "HELM_DATA_HOME": str(home / "data"),
                "HELM_PLUGINS": str(home / "plugins"),
                "HELM_DRIVER": "secret",
                # A kubeconfig may name a credential plugin; in a cluster nothing is looked up.
                "PATH": os.environ.get("PATH", "") if self._kubeconfig else "",
            }
        )
        return await run_tool(
            self._binary,
            arguments,
            env=env,
            cwd=home,
            deadline_seconds=deadline_seconds,
            secrets=secrets,
        )

    @contextmanager
    def _private_file(self, values: Mapping[str, Any]) -> Iterator[Path]:
        """The values as a 0600 file that is gone afterwards. JSON is YAML."""
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="values-", suffix=".yaml", dir=self._work_dir)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(json_text(values))
            yield path
        finally:
            path.unlink(missing_ok=True)


def secret_values(values: Any, *, secret: bool = False) -> Iterator[str]:
    """Texts in Helm values that stand under a secret's name: helm may quote them in an error."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from secret_values(value, secret=secret or is_secret_name(str(key)))
    elif isinstance(values, list):
        for value in values:
            yield from secret_values(value, secret=secret)
    elif secret and isinstance(values, str):
        yield values
