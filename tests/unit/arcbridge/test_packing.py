"""Local charts and overlays become the same bytes wherever and whenever they are packed."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from pathlib import Path

import pytest

from arcbridge.packing import PackingError, pack_chart, pack_overlay
from shared.contract.helm_source import HelmArchive
from shared.contract.kustomize_source import KustomizeSource


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "values.yaml": "replicas: 1\n",
    "templates/deployment.yaml": "kind: Deployment\n",
    ".git/config": "secret",
}


def test_a_chart_packs_to_the_same_bytes_whatever_its_times_and_modes(tmp_path: Path) -> None:
    first = write(tmp_path / "a", CHART)
    second = write(tmp_path / "b" / "elsewhere", dict(reversed(CHART.items())))
    (second / "values.yaml").chmod(0o600)
    os.utime(second / "values.yaml", (0, 0))
    assert pack_chart(first) == pack_chart(second)


def test_an_archive_is_one_that_the_contract_and_helm_take(tmp_path: Path) -> None:
    packed = pack_chart(write(tmp_path, CHART))
    HelmArchive(**packed)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed["content"]))) as archive:
        assert archive.getnames() == [
            "web/Chart.yaml",
            "web/templates/deployment.yaml",
            "web/values.yaml",
        ]


def test_a_link_is_refused(tmp_path: Path) -> None:
    chart = write(tmp_path, CHART)
    (chart / "templates" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(PackingError, match="link"):
        pack_chart(chart)


def test_a_folder_that_is_no_chart_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackingError, match=r"no Chart\.yaml"):
        pack_chart(tmp_path)


def test_a_chart_that_does_not_fit_says_what_to_do(tmp_path: Path) -> None:
    chart = write(tmp_path, CHART)
    (chart / "noise.bin").write_bytes(os.urandom(200 * 1024))
    with pytest.raises(PackingError, match="push the chart"):
        pack_chart(chart)


def test_an_overlay_brings_the_bases_it_refers_to(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "base/kustomization.yaml": "resources: [deployment.yaml]\n",
            "base/deployment.yaml": "kind: Deployment\n",
            "overlays/prod/kustomization.yaml": "resources: [../../base]\n",
            "unrelated/secret.yaml": "kind: Secret\n",
        },
    )
    packed = pack_overlay(tmp_path / "overlays" / "prod")
    KustomizeSource(**packed)
    assert packed["path"] == "overlays/prod"
    assert list(packed["files"]) == [
        "base/deployment.yaml",
        "base/kustomization.yaml",
        "overlays/prod/kustomization.yaml",
    ]


def test_an_overlay_without_bases_stands_at_its_own_root(tmp_path: Path) -> None:
    write(tmp_path, {"kustomization.yaml": "resources: []\n"})
    assert pack_overlay(tmp_path) == {
        "files": {"kustomization.yaml": "resources: []\n"},
        "path": ".",
    }


def test_a_folder_that_is_surely_another_one_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("name: whole-disk\n")
    with (tmp_path / "disk.img").open("wb") as image:
        image.truncate(1 << 40)
    with pytest.raises(PackingError, match="is it the right folder"):
        pack_chart(tmp_path)
