"""Overlays from large Git repositories: only what is needed is fetched, from Git's own server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.archive import read_files
from agent.drivers.download import Downloader, DownloadFailed, DownloadPolicy
from agent.drivers.git import Git
from agent.drivers.kustomize import Kustomize
from shared.contract.kustomize_source import GitOverlay
from tests.integration.agent.reconcile.conftest import BIN
from tests.integration.agent.reconcile.git_server import Repository, Wsgi, by_git, git_server

HOST = "127.0.0.1"
MIB = 1024 * 1024
CONFIG_MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {a: '1'}}\n"
OVERLAY = {
    "base/kustomization.yaml": "resources: [cm.yaml]\n",
    "base/cm.yaml": CONFIG_MAP % "settings",
    "base/notes.md": "nobody needs them\n",
    "prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n",
    "staging/kustomization.yaml": "resources: [../base]\nnamePrefix: staging-\n",
}
INTRICATE = {
    **OVERLAY,
    "prod/kustomization.yaml": """
resources: [../base, extra.yaml, nested/deeper]
components: [../components/labels]
patches: [{path: patches/cm.yaml}]
configMapGenerator:
  - {name: made, files: [conf/app.conf, renamed=conf/other.conf], envs: [conf/app.env]}
transformers: [suffix.yaml, annotations]
replacements: [{path: replacement.yaml}]
""",
    "prod/extra.yaml": CONFIG_MAP % "extra",
    "prod/nested/deeper/kustomization.yml": "resources: [cm.yaml]\n",
    "prod/nested/deeper/cm.yaml": CONFIG_MAP % "deeper",
    "prod/patches/cm.yaml": CONFIG_MAP % "settings",
    "prod/conf/app.conf": "listen: 80\n",
    "prod/conf/other.conf": "größe: ä\n",
    "prod/conf/app.env": "COLOUR=blue\n",
    "prod/suffix.yaml": """
apiVersion: builtin
kind: PrefixSuffixTransformer
metadata: {name: suffix}
suffix: -x
fieldSpecs: [{path: metadata/name}]
""",
    "prod/annotations/kustomization.yaml": "resources: [annotate.yaml]\n",
    "prod/annotations/annotate.yaml": """
apiVersion: builtin
kind: PatchTransformer
metadata: {name: annotate}
path: named-by-a-plugin.yaml
target: {kind: ConfigMap}
""",
    "prod/named-by-a-plugin.yaml": '[{"op": "add", "path": "/data/b", "value": "2"}]\n',
    "prod/replacement.yaml": """
source: {kind: ConfigMap, name: extra, fieldPath: data.a}
targets: [{select: {kind: ConfigMap, name: deeper}, fieldPaths: [data.a]}]
""",
    "components/labels/kustomization.yaml": """
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
commonLabels: {team: apps}
""",
    "components/other/kustomization.yaml": "kind: Component\n",
}
"""One overlay that refers to others, and to files, in most of the ways there are."""
NEEDED = {name: OVERLAY[name] for name in sorted(OVERLAY)[:2]} | {
    "prod/kustomization.yaml": OVERLAY["prod/kustomization.yaml"]
}


@dataclass(frozen=True)
class Site:
    """Where a repository is served, and who fetches from there."""

    url: str
    git: Git

    async def files(self, commit: str, path: str = "prod", *, limit: int = MIB) -> dict[str, str]:
        git = replace(self.git, limit=limit)
        content = await git.archive(GitOverlay(url=self.url, commit=commit), path, None)
        assert not list(git.work_dir.iterdir()), "the packs are still on the disk"
        return read_files(content)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "apps.git")


Serve = Callable[[Wsgi], AbstractContextManager[Site]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    @contextmanager
    def serving(app: Wsgi) -> Iterator[Site]:
        with git_server(tmp_path, app) as port:
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
            policy = DownloadPolicy(private_hosts=frozenset({HOST}), seconds=60)
            git = Git(Downloader(policy), tmp_path / "work", MIB)
            yield Site(f"https://{HOST}:{port}/team/apps.git", git)

    return serving


def large(repository: Repository) -> str:
    """A commit that does not compress below 3 MiB."""
    content = os.urandom(3 * MIB).decode("latin-1")
    return repository.commit({**OVERLAY, "media/film.bin": content, "base/film.bin": content})


async def test_of_a_repository_above_the_limit_only_the_overlay_is_fetched(
    repository: Repository, tmp_path: Path, serve: Serve
) -> None:
    commit = large(repository)
    with serve(by_git(tmp_path / "apps.git")) as site:
        assert await site.files(commit) == NEEDED
        assert await site.files(commit, "nowhere") == {}


async def test_a_commit_that_nothing_points_to_is_given_out(
    repository: Repository, tmp_path: Path, serve: Serve
) -> None:
    commit = repository.commit(OVERLAY)
    repository.forget_tag(commit)
    repository.commit({"README.md": "moved away\n"})
    with serve(by_git(tmp_path / "apps.git")) as site:
        assert await site.files(commit) == NEEDED
        with pytest.raises(DownloadFailed, match=r"the server says.*not our ref"):
            await site.files("a" * 40)


async def test_a_server_that_leaves_nothing_out_sends_the_whole_commit_within_the_limit(
    repository: Repository, tmp_path: Path, serve: Serve
) -> None:
    commit = large(repository)
    with serve(by_git(tmp_path / "apps.git", filters=False)) as site:
        with pytest.raises(DownloadFailed, match=r"cannot leave files out.*OCI artifact") as caught:
            await site.files(commit)
        assert caught.value.final
        assert await site.files(commit, limit=16 * MIB) == NEEDED


async def test_the_older_protocol_leaves_files_out_too_where_its_server_gives_them_out(
    repository: Repository, tmp_path: Path, serve: Serve
) -> None:
    commit = large(repository)
    repository.forget_tag(commit)
    repository.commit({"README.md": "moved away\n"})
    served = by_git(tmp_path / "apps.git", version=0, by_id="reachable")
    with serve(served) as site:
        assert await site.files(commit) == NEEDED

    def commits_only(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
        if environ["REQUEST_METHOD"] == "POST" and b"deepen" not in body:
            start("200 OK", [])
            return [b"0013ERR not our ref"]
        return served({**environ, "wsgi.input": BytesIO(body)}, start)

    with serve(commits_only) as site:
        assert await site.files(commit, limit=16 * MIB) == NEEDED
        with pytest.raises(DownloadFailed, match="cannot leave files out"):
            await site.files(commit)


async def test_what_is_fetched_builds_as_the_whole_repository_does(
    repository: Repository, tmp_path: Path, serve: Serve
) -> None:
    commit = repository.commit(INTRICATE)
    with serve(by_git(tmp_path / "apps.git")) as site:
        fetched = await site.files(commit)
    assert fetched.keys() == INTRICATE.keys() - {
        "base/notes.md",
        "components/other/kustomization.yaml",
        "staging/kustomization.yaml",
    }
    kustomize = Kustomize(BIN / "kubectl", tmp_path / "build", seconds=60.0)
    built = await kustomize.build(fetched, "prod")
    assert built == await kustomize.build(INTRICATE, "prod")
    assert built.count("team: apps") == 4


async def test_a_server_that_does_not_give_out_what_its_commit_lists_is_refused(
    repository: Repository, tmp_path: Path, serve: Serve
) -> None:
    commit = repository.commit(OVERLAY)
    served, first = by_git(tmp_path / "apps.git"), list[bytes]()

    def repeating(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answers every request for files with the commit again."""
        if environ["REQUEST_METHOD"] == "GET" or not first:
            answer = list(served(environ, start))
            first.extend(answer if environ["REQUEST_METHOD"] == "POST" else [])
            return answer
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start("200 OK", [])
        return first

    with serve(repeating) as site:
        with pytest.raises(DownloadFailed, match="does not hold the file prod/kust") as caught:
            await site.files(commit)
        assert caught.value.final
        with pytest.raises(DownloadFailed, match="more than this agent's Git limit"):
            await site.files(commit, limit=len(b"".join(first)))  # is for all answers together
