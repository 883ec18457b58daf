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


class ToolError(AssertionError):
    """helm or kubectl failed; says what was asked and what it answered."""


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

    def run(
        self,
        tool: str,
        *arguments: str,
        stdin: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run one of them, whatever comes of it."""
        finished = subprocess.run(
            [str(self.binaries / tool), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={"HOME": str(self.home), "PATH": "", **(environ or {})},
            check=False,
        )
        return Answer(finished.returncode, finished.stdout, finished.stderr)

    def _output(
        self, tool: str, arguments: tuple[str, ...], stdin: str | None, *, check: bool
    ) -> str:
        answer = self.run(tool, *arguments, stdin=stdin)
        if check and answer.code:
            raise ToolError(f"{tool} {' '.join(arguments)}: {answer.errors.strip()}")
        return answer.output
