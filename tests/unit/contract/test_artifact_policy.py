"""What an artifact policy allows, and what only looks as if it did."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.contract.artifact import Verification
from shared.contract.artifact_policy import ArtifactPolicySpec
from shared.contract.flux_source import FluxKustomization, FluxSource
from shared.contract.helm_source import HelmSource
from shared.contract.kustomize_source import GitOverlay, KustomizeSource, OverlayArchive
from shared.contract.source import Source

DIGEST = "sha256:" + "0" * 64
KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"
OTHER_KEY = KEY.replace("MFkw", "MFkx")


def helm(repo: str, *, digest: str | None = None, key: str | None = None) -> Source:
    verify = Verification(cosign_key=key) if key else None
    return Source(
        helm=HelmSource(repo=repo, chart="web", version="1.0.0", digest=digest, verify=verify)
    )


def archive(url: str) -> Source:
    return Source(kustomize=KustomizeSource(archive=OverlayArchive(url=url, digest=DIGEST)))


INLINE = Source(kustomize=KustomizeSource(files={"kustomization.yaml": "resources: []"}))
FLUX = Source(
    flux=FluxSource(
        url="ssh://git@git.example.org/team/web",
        commit="0" * 40,
        kustomization=FluxKustomization(),
    )
)


def test_no_policy_allows_everything() -> None:
    policy = ArtifactPolicySpec()
    for source in (helm("https://a.example"), archive("https://b.example/x"), INLINE, FLUX):
        assert policy.refusal(source) is None


@pytest.mark.parametrize(
    ("pattern", "repo"),
    [
        ("https://charts.example.org", "https://charts.example.org"),
        ("https://charts.example.org", "https://charts.example.org:443/stable"),
        ("https://charts.example.org/stable", "https://charts.example.org/stable/"),
        ("https://CHARTS.example.org", "https://charts.EXAMPLE.org"),
        ("https://*.example.org", "https://a.b.example.org"),
        ("oci://registry.example.org:5000/team", "oci://registry.example.org:5000/team"),
    ],
)
def test_what_lies_below_a_pattern_is_allowed(pattern: str, repo: str) -> None:
    assert ArtifactPolicySpec(sources=(pattern,)).refusal(helm(repo)) is None


@pytest.mark.parametrize(
    ("pattern", "repo"),
    [
        ("https://charts.example.org", "https://charts.example.org.evil.example"),
        ("https://charts.example.org", "https://evil.example/charts.example.org"),
        ("https://charts.example.org", "https://charts.example.org:8443"),
        ("https://charts.example.org", "oci://charts.example.org"),
        ("https://charts.example.org/stable", "https://charts.example.org/stable-evil"),
        ("https://charts.example.org/stable", "https://charts.example.org/stable/../other"),
        ("https://charts.example.org/stable", "https://charts.example.org/stable/%2e%2e/other"),
        ("https://charts.example.org/stable", "https://charts.example.org/stable/..%5cother"),
        ("https://charts.example.org/stable", "https://charts.example.org"),
        ("https://*.example.org", "https://example.org"),
        ("https://*.example.org", "https://evilexample.org"),
    ],
)
def test_what_only_looks_like_it_is_not(pattern: str, repo: str) -> None:
    refusal = ArtifactPolicySpec(sources=(pattern,)).refusal(helm(repo))
    assert refusal is not None
    assert "not among the sources" in refusal


def test_every_kind_of_source_is_held_to_the_list() -> None:
    policy = ArtifactPolicySpec(sources=("https://good.example",))
    oci = Source(kustomize=KustomizeSource(oci=f"oci://evil.example/a@{DIGEST}"))
    git = Source(
        kustomize=KustomizeSource(git=GitOverlay(url="https://evil.example/a", commit="0" * 40))
    )
    for source in (archive("https://evil.example/a.tgz"), oci, git, FLUX):
        assert policy.refusal(source) is not None
    assert policy.refusal(archive("https://good.example/a.tgz")) is None
    assert ArtifactPolicySpec(sources=("ssh://git.example.org/team",)).refusal(FLUX) is None


def test_content_in_the_document_may_be_refused() -> None:
    policy = ArtifactPolicySpec(sources=("https://good.example",))
    assert policy.refusal(INLINE) is None
    assert ArtifactPolicySpec(inline=False).refusal(INLINE) is not None


def test_a_chart_may_have_to_be_pinned() -> None:
    policy = ArtifactPolicySpec(require_digest=True)
    assert policy.refusal(helm("https://a.example")) is not None
    assert policy.refusal(helm("https://a.example", digest=DIGEST)) is None
    assert policy.refusal(archive("https://a.example/x")) is None


def test_a_key_of_the_policy_has_to_vouch() -> None:
    policy = ArtifactPolicySpec(cosign_keys=(KEY,))
    assert policy.refusal(helm("oci://a.example/charts", key=KEY)) is None
    for source in (
        helm("oci://a.example/charts", key=OTHER_KEY),
        helm("oci://a.example/charts"),
        archive("https://a.example/x"),
        FLUX,
    ):
        assert "verified by one of its keys" in (policy.refusal(source) or "")


@pytest.mark.parametrize(
    "pattern",
    ["http://a.example", "a.example", "https://", "https://a.example?x", "https://u:p@a.example",
     "https://a*.example", "https://*", "file:///etc", "https://a.example/%2e%2e"],
)  # fmt: skip
def test_a_pattern_that_could_mean_more_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValidationError):
        ArtifactPolicySpec(sources=(pattern,))


def test_only_what_lies_in_a_registry_can_be_verified() -> None:
    with pytest.raises(ValidationError, match="verify is for an oci"):
        helm("https://a.example", key=KEY)
