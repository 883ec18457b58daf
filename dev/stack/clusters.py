"""The clusters of a stack: contexts of a kubeconfig, filled up with simulated ones.

Wherever a cluster comes from, what follows is the same: a kubeconfig with one context, a name and
labels.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path

from dev.state import state_directory

FLEET = (
    ("canary-1", {"ring": "canary", "region": "eu"}),
    ("eu-1", {"ring": "broad", "region": "eu"}),
    ("eu-2", {"ring": "broad", "region": "eu"}),
    ("us-1", {"ring": "broad", "region": "us"}),
    ("us-2", {"ring": "broad", "region": "us"}),
)
"""Names and labels of the clusters, in this order."""
KUBECTL_SECONDS = 30
MAX_NAME_CHARACTERS = 40


class ClusterError(Exception):
    """A kubeconfig cannot be used."""


@dataclass(frozen=True)
class Cluster:
    """One cluster that an agent is run for."""

    name: str
    labels: dict[str, str]
    kubeconfig: Path


def tool(name: str) -> str:
    """The path of `helm` or `kubectl` that `make setup` installed."""
    path = state_directory() / "bin" / name
    if not path.exists():
        raise ClusterError(f"{path} is missing: run `make setup`")
    return str(path)


def fleet(existing: dict[str, Path], simulated: dict[str, Path]) -> list[Cluster]:
    """Five clusters or more: the existing ones first, under names of their own."""
    count = max(len(FLEET), len(existing))
    labels = [FLEET[min(index, len(FLEET) - 1)][1] for index in range(count)]
    paths = {**existing, **simulated}
    return [
        Cluster(name, dict(labels[index]), path)
        for index, (name, path) in enumerate(list(paths.items())[:count])
    ]


def simulated_names(existing: int) -> tuple[str, ...]:
    """Names of the simulated clusters that fill up to five."""
    return tuple(name for name, _ in FLEET[existing:])


async def contexts(kubeconfig: str, directory: Path) -> dict[str, Path]:
    """Each context of a kubeconfig (or several, as KUBECONFIG lists them) as a file of its own.

    Raises ClusterError when kubectl cannot read it.
    """
    listed = await kubectl(kubeconfig, "config", "get-contexts", "-o", "name")
    found: dict[str, Path] = {}
    for context in sorted(filter(None, listed.splitlines())):
        text = await kubectl(
            kubeconfig, "config", "view", "--minify", "--flatten", "--raw", "-o", "json",
            "--context", context,
        )  # fmt: skip
        name = cluster_name(context, taken=set(found))
        path = directory / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(json.loads(text)))
        found[name] = path
    return found


def cluster_name(context: str, taken: set[str]) -> str:
    """A context's name as a cluster may be called (RFC 1123), different from those taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", context.lower()).strip("-") or "cluster"
    name = plain[:MAX_NAME_CHARACTERS].strip("-")
    number = 2
    while name in taken:
        name, number = f"{plain[: MAX_NAME_CHARACTERS - 4].strip('-')}-{number}", number + 1
    return name


async def kubectl(kubeconfig: str, *arguments: str) -> str:
    """kubectl's output. Raises ClusterError."""
    process = await asyncio.create_subprocess_exec(
        tool("kubectl"), *arguments,
        env={"KUBECONFIG": kubeconfig, "PATH": "", "HOME": str(state_directory())},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(KUBECTL_SECONDS):
        output, errors = await process.communicate()
    if process.returncode != 0:
        raise ClusterError(f"kubectl {' '.join(arguments[:2])}: {errors.decode().strip()}")
    return output.decode()
