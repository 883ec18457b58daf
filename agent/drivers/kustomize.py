"""Builds overlays with `kubectl kustomize`: files in, manifest out; fetches and runs nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.drivers.overlay import OverlayRefused, vet_overlay
from agent.drivers.process import environment, run_tool
from agent.errors import StepFailed, ToolError
from shared.contract.reasons import ReasonCode


class Kustomize:
    """Builds in private directories that are gone afterwards."""

    def __init__(self, kubectl: Path, work_dir: Path, *, seconds: float) -> None:
        self._kubectl = kubectl
        self._work_dir = work_dir
        self._seconds = seconds

    async def build(self, files: Mapping[str, str], path: str) -> str:
        """The manifest of an overlay. Raises StepFailed(BuildFailed)."""
        try:
            await asyncio.to_thread(vet_overlay, files, path)
        except OverlayRefused as error:
            raise StepFailed(ReasonCode.BUILD_FAILED, str(error), final=True) from error
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix="overlay-", dir=self._work_dir))
        try:
            await asyncio.to_thread(write_tree, root, files)
            finished = await run_tool(
                self._kubectl,
                [
                    "kustomize",
                    "--enable-helm=false",
                    "--load-restrictor=LoadRestrictionsRootOnly",
                    "--",
                    str(root / path),
                ],
                # Without a PATH there is no git to fetch with and no plugin to run.
                env=environment({"HOME": str(root), "PATH": ""}),
                cwd=root,
                deadline_seconds=self._seconds,
            )
        except OSError as error:  # a path that is a file here and a folder there, or too long
            message = str(error).replace(str(root), "")
            raise StepFailed(ReasonCode.BUILD_FAILED, message, final=True) from error
        except ToolError as error:
            message = str(error).replace(str(root), "")
            raise StepFailed(ReasonCode.BUILD_FAILED, message, final=True) from error
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return finished.stdout.decode(errors="replace")


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Write the files below `root`, each readable by the agent only; never follows a link."""
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(
            os.open(target, flags, 0o600), "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(content)
