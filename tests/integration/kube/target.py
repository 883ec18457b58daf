"""A cluster that a test may use, through the real binaries."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dev.state import state_directory

DATA = Path(__file__).with_name("data")
CHART = DATA / "chart"
COMMAND_SECONDS = 60.0


class CommandError(AssertionError):
    """A command ended otherwise than the test wanted; the text holds all that it wrote."""


@dataclass(frozen=True)
class KubeTarget:
    """A kubeconfig, a namespace of the test's own, and a home for the tools' caches."""

    kubeconfig: Path
    namespace: str
    home: Path
    simulated: bool

    def environ(self, **more: str) -> dict[str, str]:
        """What the tools are told: nothing of the developer's own configuration."""
        binaries = state_directory() / "bin"
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig), **more}

    def run(
        self, *command: str, stdin: str | None = None, fails: bool = False, **environ: str
    ) -> str:
        """Run a command to its end; gives what it wrote to standard output and error."""
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False,
            timeout=COMMAND_SECONDS, env=self.environ(**environ),
        )  # fmt: skip
        written = done.stdout + done.stderr
        if (done.returncode != 0) is not fails:
            raise CommandError(f"{' '.join(command)} ended with {done.returncode}:\n{written}")
        return written

    def kubectl(
        self, *arguments: str, stdin: str | None = None, fails: bool = False, **environ: str
    ) -> str:
        """Run kubectl in the test's namespace."""
        words = ("kubectl", "--namespace", self.namespace, *arguments)
        return self.run(*words, stdin=stdin, fails=fails, **environ)

    def helm(self, *arguments: str, fails: bool = False) -> str:
        """Run helm in the test's namespace."""
        return self.run("helm", "--namespace", self.namespace, *arguments, fails=fails)

    def get(self, *what: str) -> dict[str, Any]:
        """An object or a list, as kubectl prints it with managed fields."""
        found: dict[str, Any] = json.loads(
            self.kubectl("get", *what, "-o", "json", "--show-managed-fields")
        )
        return found

    def exists(self, *what: str) -> bool:
        """Is the object there?"""
        return bool(self.kubectl("get", *what, "-o", "name", "--ignore-not-found").strip())

    def eventually(self, check: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until `check` is true; a cluster does many things in its own time."""
        end = time.monotonic() + seconds
        while not check():
            if time.monotonic() > end:
                raise CommandError(f"not so within {seconds} s")
            time.sleep(0.1)

    def in_namespace(self, namespace: str) -> KubeTarget:
        """The same cluster with another namespace."""
        return replace(self, namespace=namespace)
