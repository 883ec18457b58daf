"""A chart for the agent's benchmark: packed, asked for in a document, and deployed by bare helm."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import tarfile
import time
import uuid
from pathlib import Path

from dev.stack.clusters import tool
from shared.contract.canonical import digest, digest_bytes
from shared.contract.desired import DesiredDocument, DesiredExtension, DesiredState
from shared.contract.extension import ResolvedSpec
from shared.contract.helm_source import HelmArchive, HelmSource
from shared.contract.source import Source

GREETING = "measured beside the bare work"
NAMESPACE = "default"
WAIT_SECONDS = 60
_CLUSTER = uuid.UUID("01900000-0000-7000-8000-000000000001")


def packed(chart: Path) -> bytes:
    """The chart's directory as an archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(chart.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                info = tarfile.TarInfo(f"{chart.name}/{path.relative_to(chart)}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def values(name: str, generation: int) -> dict[str, object]:
    """What differs from release to release: the pods change with each generation."""
    return {"message": f"{name} {generation}", "image": {"tag": f"3.{generation}"}}


def document(name: str, chart: bytes, generation: int) -> DesiredDocument:
    """The desired document with one extension."""
    archive = HelmArchive(content=base64.b64encode(chart).decode(), digest=digest_bytes(chart))
    spec = ResolvedSpec(
        source=Source(helm=HelmSource(archive=archive)),
        namespace=NAMESPACE,
        values=values(name, generation),
    )
    extension = DesiredExtension(
        name=name,
        state=DesiredState.PRESENT,
        revision=generation,
        spec_digest=digest(spec.to_canonical()),
        generation=generation,
        rollout_id=uuid.UUID(int=generation),
        spec=spec,
    )
    return DesiredDocument.build("bench", _CLUSTER, (extension,))


async def bare_helm(
    kubeconfig: Path, directory: Path, name: str, archive: Path, step: str
) -> float:
    """Seconds of `helm upgrade --install --wait` for the same chart and values."""
    given = directory / "values.json"
    given.write_text(json.dumps(values(name, 1 if step == "install" else 2)))
    home = directory / "home"
    home.mkdir(exist_ok=True)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        tool("helm"), "upgrade", "--install", name, str(archive), f"--namespace={NAMESPACE}",
        f"--kubeconfig={kubeconfig}", f"--values={given}", "--wait", f"--timeout={WAIT_SECONDS}s",
        env={"HOME": str(home), "PATH": ""},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"helm: {errors.decode()}")
    return time.perf_counter() - began
