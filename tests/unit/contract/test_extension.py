"""The Extension resource refuses what could deploy two things under one name."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contract.canonical import digest, digest_bytes
from shared.contract.extension import ExtensionManifest, merge_values
from shared.contract.flux_source import FluxSource
from shared.contract.helm_source import HelmSource
from shared.contract.kustomize_source import KustomizeSource

CHART = b"not really a chart"


def manifest(**spec: Any) -> dict[str, Any]:
    """A valid manifest on the wire, with parts of its spec replaced."""
    base: dict[str, Any] = {
        "placement": {"matchLabels": {"env": "prod"}},
        "source": {
            "helm": {"repo": "https://charts.example.org", "chart": "web", "version": "1.2.3"}
        },
        "namespace": "web",
    }
    return {"metadata": {"name": "web"}, "spec": base | spec}


def first_error(wire: dict[str, Any]) -> tuple[str, str]:
    """Path and message of the one thing that is wrong."""
    with pytest.raises(ValidationError) as caught:
        ExtensionManifest.model_validate(wire)
    error = caught.value.errors()[0]
    return ".".join(str(part) for part in error["loc"]), error["msg"]


def test_the_smallest_manifest_gets_a_canary_and_a_rollback() -> None:
    strategy = ExtensionManifest.model_validate(manifest()).spec.rollout
    assert [stage.name for stage in strategy.stages] == ["canary", "broad"]
    assert strategy.stages[0].max_targets == 1
    assert strategy.stages[0].max_failures == "0"
    assert strategy.on_failure == "rollback"


def test_an_unknown_field_is_refused_with_its_path() -> None:
    path, _ = first_error(manifest(rollout={"maxFailure": 1}))
    assert path == "spec.rollout.maxFailure"


@pytest.mark.parametrize("version", ["1.x", "^1.2.3", ">=1", "*", "latest", "1.2"])
def test_a_version_range_is_refused(version: str) -> None:
    source = {"helm": {"repo": "https://charts.example.org", "chart": "web", "version": version}}
    path, message = first_error(manifest(source=source))
    assert path == "spec.source.helm"
    assert "not exact" in message


@pytest.mark.parametrize("chart", ["--kubeconfig=/etc/shadow", "-f", "../web", "/web", "we b", ""])
def test_a_chart_name_is_never_a_flag_or_a_path(chart: str) -> None:
    with pytest.raises(ValidationError):
        HelmSource.model_validate(
            {"repo": "https://x.example.org", "chart": chart, "version": "1.0.0"}
        )


@pytest.mark.parametrize(
    "repo", ["http://plain.example.org", "file:///etc", "https://", "--repo", "ftp://x"]
)
def test_a_repository_is_https_or_oci(repo: str) -> None:
    with pytest.raises(ValidationError):
        HelmSource.model_validate({"repo": repo, "chart": "web", "version": "1.0.0"})


def test_an_archive_must_have_the_digest_it_names() -> None:
    content = base64.b64encode(CHART).decode()
    good = {"archive": {"content": content, "digest": digest_bytes(CHART)}}
    assert HelmSource.model_validate(good).archive is not None
    with pytest.raises(ValidationError, match="digest is"):
        HelmSource.model_validate(
            {"archive": {"content": content, "digest": digest_bytes(b"other")}}
        )
    with pytest.raises(ValidationError, match="base64"):
        HelmSource.model_validate({"archive": {"content": "§", "digest": digest_bytes(CHART)}})


@pytest.mark.parametrize(
    "source", [{}, {"helm": None}, {"helm": {}, "kustomize": {"files": {"a": "b"}}}]
)
def test_exactly_one_source_is_needed(source: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExtensionManifest.model_validate(manifest(source=source))


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "a\\b", "a\x00"])
def test_overlay_files_stay_inside_their_root(name: str) -> None:
    with pytest.raises(ValidationError):
        KustomizeSource.model_validate({"files": {name: "x"}})


def test_values_need_a_helm_source() -> None:
    source = {"kustomize": {"files": {"kustomization.yaml": "resources: []"}}}
    _, message = first_error(manifest(source=source, values={"a": 1}))
    assert "helm" in message


@pytest.mark.parametrize(
    "rollout",
    [
        {"stages": []},
        {"stages": [{"name": "a"}, {"name": "a"}]},
        {"stages": [{"name": "a", "maxConcurrent": 0}]},
        {"pace": {"perMinute": 0}},
        {"pace": {"minPerMinute": 2}},
        {"pace": {"perMinute": 1, "mode": "adaptive", "minPerMinute": 2}},
        {"onFailure": "shrug"},
        {"progressDeadline": "10mfoo"},
        {"offline": {"then": "wait"}},
    ],
)
def test_a_strategy_that_cannot_be_meant_is_refused(rollout: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExtensionManifest.model_validate(manifest(rollout=rollout))


def test_the_wire_form_reads_back_as_the_same_manifest() -> None:
    parsed = ExtensionManifest.model_validate(
        manifest(
            values={"replicas": 2, "default": None},
            rollout={"stages": [{"name": "all", "soak": "90s"}]},
        )
    )
    assert ExtensionManifest.model_validate(parsed.to_wire()) == parsed
    assert ExtensionManifest.model_validate(parsed.to_canonical()) == parsed


def test_writing_a_default_out_changes_no_digest() -> None:
    plain = ExtensionManifest.model_validate(manifest()).spec
    spelled = ExtensionManifest.model_validate(
        manifest(drift={"mode": "warn", "interval": "10m"}, dependsOn=[])
    ).spec
    assert digest(plain.to_canonical()) == digest(spelled.to_canonical())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
values = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


@given(values, values)
def test_later_values_win_key_by_key_and_the_others_stay(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    merged = merge_values(base, over)
    assert merged.keys() == base.keys() | over.keys()
    assert all(merged[key] == base[key] for key in base.keys() - over.keys())
    for key, value in over.items():
        below = base.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        assert merged[key] == (merge_values(below, value) if both else value)
    assert merge_values(merged, over) == merged


@given(values)
def test_merging_the_same_values_again_changes_nothing(a: dict[str, Any]) -> None:
    assert merge_values(a, a) == a == merge_values(a, {}) == merge_values({}, a)


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "source",
    [
        {"files": {"kustomization.yaml": "x"}},
        {"archive": {"url": "https://example.org/web.tgz?v=1", "digest": DIGEST}, "path": "prod"},
        {"oci": f"oci://registry.example.org:5000/team/web@{DIGEST}"},
        {"git": {"url": "https://git.example.org/team/apps.git", "commit": "c" * 40}},
    ],
)
def test_an_overlay_comes_from_one_place(source: dict[str, Any]) -> None:
    KustomizeSource.model_validate(source)
    for other in ({"files": {"a": "b"}}, {"oci": f"oci://registry.example.org/web@{DIGEST}"}):
        if other.keys() != source.keys() - {"path"}:
            with pytest.raises(ValidationError, match="exactly one"):
                KustomizeSource.model_validate(source | other)


@pytest.mark.parametrize(
    "source",
    [
        {"path": "prod"},
        {"archive": {"url": "http://example.org/web.tgz", "digest": DIGEST}},
        {"archive": {"url": "https://user:word@example.org/web.tgz", "digest": DIGEST}},
        {"archive": {"url": "https://example.org/web.tgz"}},
        {"oci": "oci://registry.example.org/team/web:latest"},
        {"oci": f"oci://registry.example.org/../web@{DIGEST}"},
        {"git": {"url": "https://git.example.org/apps", "commit": "main"}},
        {"git": {"url": "https://git.example.org/apps", "commit": "c" * 7}},
        {"git": {"url": "ssh://git.example.org/apps", "commit": "c" * 40}},
        {"git": {"url": "https://robot:pw@git.example.org/apps", "commit": "c" * 40}},
        {"git": {"url": "https://git.example.org/apps", "commit": "c" * 40, "verify": {}}},
        {
            "git": {
                "url": "https://git.example.org/apps",
                "commit": "c" * 40,
                "verify": {"sshKeys": ["sk-ssh-ed25519@openssh.com AAAA"]},
            }
        },
        {
            "git": {
                "url": "https://git.example.org/apps",
                "commit": "c" * 40,
                "verify": {"sshKeys": [], "pgpKeys": []},
            }
        },
        {
            "git": {
                "url": "https://git.example.org/apps",
                "commit": "c" * 40,
                "verify": {"pgpKeys": ["-----BEGIN PGP PRIVATE KEY BLOCK-----\nAAAA"]},
            }
        },
        {"files": {"a": "b"}, "credentialsRef": {"name": "login"}},
    ],
)
def test_an_overlay_from_afar_is_pinned_and_has_no_credentials(source: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KustomizeSource.model_validate(source)


@pytest.mark.parametrize(
    "repo",
    [
        "https://user:password@charts.example.org",
        "https://user@charts.example.org",
        "https://charts.example.org/?token=x",
        "https://charts.example.org/#x",
        "oci://user:password@registry.example.org/charts",
    ],
)
def test_a_repository_has_no_credentials_in_it(repo: str) -> None:
    with pytest.raises(ValidationError):
        HelmSource(repo=repo, chart="web", version="1.0.0")


def test_flux_may_name_a_user_but_no_password() -> None:
    pinned = {"commit": "0" * 40, "kustomization": {}}
    assert FluxSource.model_validate({"url": "ssh://git@example.org/team/a", **pinned})
    with pytest.raises(ValidationError):
        FluxSource.model_validate({"url": "https://user:password@example.org/team/a", **pinned})


def test_a_name_that_helm_does_not_take_is_refused_before_a_cluster_sees_it() -> None:
    long = {"metadata": {"name": "a" * 54}}
    assert ExtensionManifest.model_validate(manifest() | {"metadata": {"name": "a" * 53}})
    _, message = first_error(manifest() | long)
    assert "metadata.name" in message
    assert "has 54 characters; Helm takes at most 53" in message
    overlay = {"kustomize": {"files": {"kustomization.yaml": "resources: []"}}}
    assert ExtensionManifest.model_validate(manifest(source=overlay) | long)
