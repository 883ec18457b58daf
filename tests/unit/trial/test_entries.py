"""A list of trials is read whole, or refused with the entry and the reason."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dev.trial.entries import TrialListError, read_list

DISTURB = "disturb: {kind: Deployment, name: web, path: /spec/replicas, value: 3}"
CHART = f"""
- name: web
  namespace: shop
  helm: {{first: one, second: two}}
  values: {{replicas: 2}}
  timeout: 30s
  {DISTURB}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions of a chart, and of an overlay."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "Chart.yaml").write_text("name: web\nversion: 1.0.0\n")
        (tmp_path / version / "kustomization.yaml").write_text("resources: []\n")
    return tmp_path


def listed(folder: Path, text: str) -> Path:
    path = folder / "trials.yaml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_list(folder: Path) -> None:
    (trial,) = read_list(listed(folder, CHART))
    assert trial.versions == (folder / "one", folder / "two")
    assert trial.timeout == timedelta(seconds=30)


def test_a_folder_stands_for_the_list_in_it(folder: Path) -> None:
    assert read_list(listed(folder, CHART).parent)[0].name == "web"


def test_a_chart_and_an_overlay_become_what_a_document_carries(folder: Path) -> None:
    overlay = (
        f"- name: over\n  namespace: shop\n  kustomize: {{first: one, second: two}}\n  {DISTURB}\n"
    )
    chart, other = read_list(listed(folder, CHART + overlay))
    spec = chart.release(folder / "one").spec
    assert spec.source.helm is not None
    assert spec.values == {"replicas": 2}
    source = other.release(folder / "one").spec.source.kustomize
    assert source is not None
    assert source.files is not None
    assert "kustomization.yaml" in source.files


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "lists nothing"),
        ("- {name: web}", "entry 1: namespace"),
        (CHART.replace("first: one", "first: missing"), "missing is not there"),
        (CHART.replace("first: one", 'first: "https://example.org/web.tgz"'), "is an address"),
        (CHART.replace("/spec/replicas", "spec.replicas"), "not a JSON pointer"),
        (CHART.replace("helm:", "kustomize:"), "values are for charts"),
        (CHART.replace("  helm: {first: one, second: two}\n", ""), "exactly one of helm"),
        (CHART + CHART, "two entries are called 'web'"),
        (CHART.replace("timeout: 30s", "wait: 30s"), "wait: Extra inputs"),
        ("a: &x 1\nb: *x", "line 1"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(folder: Path, text: str, why: str) -> None:
    with pytest.raises(TrialListError, match=why):
        read_list(listed(folder, text))


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrialListError, match=r"trials.yaml cannot be read"):
        read_list(tmp_path)


def test_a_chart_that_no_document_can_carry_is_refused(folder: Path) -> None:
    (folder / "big.tgz").write_bytes(bytes(200 * 1024))
    (trial,) = read_list(listed(folder, CHART.replace("first: one", "first: big.tgz")))
    with pytest.raises(TrialListError, match="fit into a document"):
        trial.release(trial.versions[0])
