"""The real helm and kubectl, asked for what is really there.

They are witnesses: nothing of the agent is between the cluster and what they say.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
_FIND_SECONDS = 5


class ToolError(AssertionError):
    """helm or kubectl failed, or did not end; says what was asked and what it answered."""


class ClusterGoneError(ToolError):
    """The cluster does not answer any more."""


@dataclass(frozen=True)
class Answer:
    """How a tool ended, and what it wrote."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Tools:
    """helm and kubectl of one cluster."""

    kubeconfig: Path
    home: Path
    """Where they keep what they learn of the cluster: asking anew takes them a second."""
    binaries: Path
    seconds: float = 60.0
    """What one call may take."""

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """kubectl's standard output. Raises ToolError."""
        return self._output("kubectl", arguments, stdin, check=check)

    def helm(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """helm's standard output. Raises ToolError."""
        return self._output("helm", arguments, stdin, check=check)

    def get(self, *arguments: str) -> Object:
        """`kubectl get ARGUMENTS -o json`. Raises ToolError."""
        found: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def exists(self, *arguments: str) -> bool:
        """Whether `kubectl get ARGUMENTS` finds something."""
        return bool(self.kubectl("get", *arguments, "--ignore-not-found", "-o", "name").strip())

    def history(self, release: str, namespace: str) -> list[Object]:
        """`helm history`, oldest first. Raises ToolError where there is no such release."""
        found: list[Object] = json.loads(
            self.helm("history", release, "-n", namespace, "-o", "json")
        )
        return found

    def find_cluster(self) -> None:
        """Raise ClusterGoneError unless the API server answers within some seconds."""
        try:
            self.kubectl("get", "--raw=/readyz", f"--request-timeout={_FIND_SECONDS}s")
        except ToolError as error:
            why = " ".join(str(error).split())
            raise ClusterGoneError(f"the cluster does not answer any more: {why}") from error

    def run(
        self,
        tool: str,
        *arguments: str,
        stdin: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run one of them, whatever comes of it. Raises ToolError where it does not end."""
        try:
            finished = subprocess.run(
                [str(self.binaries / tool), f"--kubeconfig={self.kubeconfig}", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=self.seconds,
                env={"HOME": str(self.home), "PATH": "", **(environ or {})},
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            asked = " ".join((tool, *arguments))
            raise ToolError(f"{asked}: no answer within {self.seconds:g} s") from error
        return Answer(finished.returncode, finished.stdout, finished.stderr)

    def _output(
        self, tool: str, arguments: tuple[str, ...], stdin: str | None, *, check: bool
    ) -> str:
        answer = self.run(tool, *arguments, stdin=stdin)
        if check and answer.code:
            raise ToolError(f"{tool} {' '.join(arguments)}: {answer.errors.strip()}")
        return answer.output
