"""Overlays that would reach out of themselves are refused before any tool sees them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from agent.drivers.archive import ArchiveRefused, inspect_archive
from agent.drivers.kustomize import write_tree
from agent.drivers.overlay import OverlayRefused, vet_overlay
from tests.integration.agent.reconcile.sources import archive, chart_archive

GOOD = {
    "base/kustomization.yaml": "resources: [cm.yaml]\n",
    "base/cm.yaml": "kind: ConfigMap\n",
    "over/kustomization.yaml": (
        "resources: [../base]\n"
        "patches: [{path: patch.yaml, target: {kind: ConfigMap}}]\n"
        "configMapGenerator: [{name: g, files: [key=data.txt]}]\n"
    ),
    "over/patch.yaml": "[]",
    "over/data.txt": "x",
}


def test_an_overlay_that_refers_to_its_own_files_is_fine() -> None:
    vet_overlay(GOOD, "over")
    vet_overlay(GOOD, "./over/")


@pytest.mark.parametrize(
    "kustomization",
    [
        "resources: ['https://example.com/base']",
        "resources: ['github.com/org/repo//base?ref=v1']",
        "resources: ['git@example.com:org/repo.git']",
        "resources: [../../outside]",
        "resources: [/etc/passwd]",
        "resources: [missing.yaml]",
        "components: ['https://example.com/c']",
        "transformers: ['https://example.com/t.yaml']",
        "generators: [exec.yaml]",
        "patches: [{path: 'https://example.com/p.yaml'}]",
        "configMapGenerator: [{name: g, files: ['k=https://example.com/x']}]",
        "secretGenerator: [{name: g, envs: [/etc/environment]}]",
        "openapi: {path: 'https://example.com/o'}",
        "replacements: [{path: ../r.yaml}]",
        "helmCharts: [{name: x, repo: 'https://example.com'}]",
        "helmChartInflationGenerator: []",
        "somethingNew: [https://example.com]",
        "resources: [[[many, more], [many, more]]]",
        "configMapGenerator: [{name: g, files: [{a: b}]}]",
        "- a list",
        "a: b: c",
    ],
)
def test_an_overlay_that_reaches_out_is_refused(kustomization: str) -> None:
    with pytest.raises(OverlayRefused):
        vet_overlay({"kustomization.yaml": kustomization}, ".")


def test_a_function_is_refused_wherever_it_stands() -> None:
    function = "metadata: {annotations: {config.kubernetes.io/function: 'exec: {path: /bin/sh}'}}"
    files = {"kustomization.yaml": "generators: [f.yaml]", "f.yaml": function}
    with pytest.raises(OverlayRefused, match="functions"):
        vet_overlay(files, ".")


def test_a_folder_without_kustomization_is_refused() -> None:
    with pytest.raises(OverlayRefused):
        vet_overlay(GOOD, "elsewhere")


def test_files_are_written_for_the_agent_alone_and_never_through_a_link(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/b.yaml": "x"})
    assert (tmp_path / "a/b.yaml").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="exists"):
        write_tree(tmp_path, {"link": "x"})
    assert not (tmp_path / "target").exists()


def test_what_the_path_leads_to_is_vetted_and_nothing_else() -> None:
    remote = "resources: [https://example.org/base]\n"
    vet_overlay({**GOOD, "other/kustomization.yaml": remote}, "over")
    for name in ("base/kustomization.yaml", "over/kustomization.yaml"):
        with pytest.raises(OverlayRefused, match="remote bases"):
            vet_overlay({**GOOD, name: remote}, "over")
    for field in ("resources", "components", "bases", "generators", "transformers", "validators"):
        deep = {
            "a/kustomization.yaml": f"{field}: [../b]\n",
            "b/kustomization.yml": f"{field}: [../c/]\n",
            "c/Kustomization": remote,
        }
        with pytest.raises(OverlayRefused, match="remote bases"):
            vet_overlay(deep, "./a/")


def test_the_facts_of_an_archive() -> None:
    facts = inspect_archive(chart_archive())
    assert "web/Chart.yaml" in facts.files
    assert not facts.has_crds
    assert inspect_archive(archive({"web/crds/a.yaml": "x"})).has_crds


def test_a_gzip_header_with_helm_s_extra_field_is_no_reason_to_refuse() -> None:
    plain = chart_archive()
    flags, extra = bytes([4]), b"Helm!"  # RFC 1952: FEXTRA, then its length and content
    header = plain[:3] + flags + plain[4:10] + len(extra).to_bytes(2, "little") + extra
    assert inspect_archive(header + plain[10:]).files == inspect_archive(plain).files


def test_a_damaged_archive_is_refused() -> None:
    plain = chart_archive()
    damaged = plain[:40] + b"\xff" * 40 + plain[80:]
    for content in (damaged, plain[:-100], b""):
        with pytest.raises(ArchiveRefused):
            inspect_archive(content)


def odd_archive(info: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(info)
    return buffer.getvalue()


def test_archives_with_links_escapes_or_too_much_in_them_are_refused() -> None:
    link = tarfile.TarInfo("web/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard = tarfile.TarInfo("web/hard")
    hard.type, hard.linkname = tarfile.LNKTYPE, "web/x"
    huge = archive({"web/huge": "0" * (65 * 1024 * 1024)})
    for content in (odd_archive(link), odd_archive(hard), archive({"../x": "1"}), huge, b"junk"):
        with pytest.raises(ArchiveRefused):
            inspect_archive(content)
