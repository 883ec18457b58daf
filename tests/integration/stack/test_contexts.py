"""Each context of a kubeconfig becomes a cluster with a kubeconfig of its own."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dev.stack.clusters import ClusterError, contexts


def kubeconfig(path: Path, *names: str) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": f"of-{name}", "cluster": {"server": f"https://{name}.example.org"}}
            for name in names
        ],
        "users": [{"name": f"user-{name}", "user": {"token": f"t-{name}"}} for name in names],
        "contexts": [
            {"name": name, "context": {"cluster": f"of-{name}", "user": f"user-{name}"}}
            for name in names
        ],
        "current-context": names[0],
    }
    path.write_text(json.dumps(content))
    return path


async def test_each_context_gets_a_private_file_with_only_its_own_credentials(
    tmp_path: Path,
) -> None:
    both = ":".join(
        str(kubeconfig(tmp_path / name, *names))
        for name, names in {"one": ("admin@home", "kind-a"), "two": ("prod",)}.items()
    )
    found = await contexts(both, tmp_path / "split")
    assert set(found) == {"admin-home", "kind-a", "prod"}
    for name, path in found.items():
        content = json.loads(path.read_text())
        assert len(content["users"]) == len(content["clusters"]) == 1
        assert content["users"][0]["user"]["token"] == {"admin-home": "t-admin@home"}.get(
            name, f"t-{name}"
        )
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_kubeconfig_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_text("clusters: {")
    with pytest.raises(ClusterError, match="kubectl config"):
        await contexts(str(broken), tmp_path)
