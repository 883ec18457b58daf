"""Overlays from Git: one commit over https, every file by its hash, signed where that is asked."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

import pysequoia
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519

from agent.drivers.archive import read_files
from agent.drivers.download import Downloader, DownloadFailed, DownloadPolicy
from agent.drivers.git import Git
from shared.contract.artifact import CredentialsReference
from shared.contract.kustomize_source import GitOverlay, GitVerification, KustomizeSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.git_server import (
    LINK,
    SUBMODULE,
    Repository,
    by_dulwich,
    git_server,
    public_line,
    sign,
)
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import Release

HOST = "127.0.0.1"
PRIVATE = frozenset({HOST})
LIMIT = 64 * 1024 * 1024
PASSWORD = "planted-canary-pass"
BASIC = "Basic " + base64.b64encode(f"robot:{PASSWORD}".encode()).decode()


def overlay(greeting: str) -> dict[str, str]:
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {greeting: %s}}\n"
    return {
        "README.md": "# Apps\n",
        "base/kustomization.yaml": "resources: [cm.yaml]\n",
        "base/cm.yaml": text % greeting,
        "prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n",
    }


@dataclass
class Site:
    """A repository and where it is served."""

    repository: Repository
    url: str

    def git(self, commit: str, **changes: Any) -> GitOverlay:
        return GitOverlay.model_validate({"url": self.url, "commit": commit, **changes})

    def release(self, namespace: str, commit: str, **changes: Any) -> Release:
        source = KustomizeSource(git=self.git(commit), path="prod", **changes)
        return Release("web", namespace, Source(kustomize=source))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Who asks has to log in."""
    repository = Repository.create(tmp_path / "apps.git")
    with git_server(tmp_path, by_dulwich(repository), BASIC) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        yield Site(repository, f"https://{HOST}:{port}/team/apps.git")


@pytest.fixture
def open_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Open to everyone."""
    repository = Repository.create(tmp_path / "apps.git")
    with git_server(tmp_path, by_dulwich(repository)) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        yield Site(repository, f"https://{HOST}:{port}/team/apps.git")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    policy = DownloadPolicy(private_hosts=PRIVATE, seconds=30)
    return Git(Downloader(policy), tmp_path / "work", LIMIT)


async def test_a_commit_is_applied_with_a_login_and_kept_for_a_restart_without_network(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    site: Site,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    first = site.repository.commit(overlay("hello"))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "git",
            "namespace": namespace,
            "labels": {"arcbridge.io/credentials-for": "artifacts"},
            "annotations": {"arcbridge.io/hosts": site.url.split("/")[2]},
        },
        "stringData": {"username": "robot", "password": PASSWORD},
    }
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    tools.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([home, secret]))
    work_dir = tmp_path / "work"
    login = CredentialsReference(name="git")
    async with start_engine(private_hosts=PRIVATE, work_dir=work_dir, max_attempts=1) as running:
        anyone = site.release(namespace, first)
        running.submit(anyone.present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert "credentialsRef" in failed.message
        allowed = site.release(namespace, first, credentials_ref=login)
        running.submit(anyone.next(source=allowed.source).present())
        await running.ready("web", 2)
        live = tools.get("cm", "prod-settings", "-n", namespace)
        assert live["data"] == {"greeting": "hello"}
        second = site.release(
            namespace, site.repository.commit(overlay("again")), credentials_ref=login
        )
        running.submit(anyone.next(source=second.source, generation=3).present())
        await running.ready("web", 3)
    async with start_engine(work_dir=work_dir) as restarted:  # it may not ask this host any more
        restarted.submit(anyone.next(source=allowed.source, generation=4).present())
        await restarted.ready("web", 4)
    told = "".join(event.model_dump_json() for event in running.events) + str(capfd.readouterr())
    kept = b"".join(path.read_bytes() for path in work_dir.rglob("*") if path.is_file())
    assert PASSWORD not in told
    assert BASIC.split()[1] not in told
    assert PASSWORD.encode() not in kept


async def test_links_and_submodules_are_left_out_and_files_come_as_they_are(
    git: Git, open_site: Site
) -> None:
    odd = {"link": LINK, "module": SUBMODULE}
    needed = overlay("größe")
    needed["kustomization.yaml"] = "resources: [prod, größe.yaml, link, module]\n"
    needed["größe.yaml"] = "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}\n"
    commit = open_site.repository.commit(needed, odd=odd)
    files = read_files(await git.archive(open_site.git(commit), ".", None))
    assert files == {name: text for name, text in needed.items() if name != "README.md"}
    assert not list((git.work_dir).iterdir())


async def test_a_commit_that_is_not_there_is_told(git: Git, open_site: Site) -> None:
    open_site.repository.commit(overlay("hello"))
    with pytest.raises(DownloadFailed, match="a" * 40 + ".*tag it"):
        await git.archive(open_site.git("a" * 40), "prod", None)


async def test_only_a_signature_by_one_of_the_keys_will_do(git: Git, open_site: Site) -> None:
    ours, theirs = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    repository = open_site.repository
    keys = GitVerification(ssh_keys=(public_line(theirs), f"{public_line(ours)} who@example.org"))
    good = open_site.git(repository.commit(overlay("hello"), key=ours), verify=keys)
    assert "prod/kustomization.yaml" in read_files(await git.archive(good, "prod", None))
    only_theirs = GitVerification(ssh_keys=(public_line(theirs),))
    refused = {
        "is not signed": (repository.commit(overlay("a")), keys),
        "not among the keys": (repository.commit(overlay("b"), key=ours), only_theirs),
        "not of this content": (
            repository.commit(overlay("c"), gpgsig=sign(b"something else", ours)),
            keys,
        ),
        "another purpose": (
            repository.commit(overlay("d"), gpgsig=sign(b"x", ours, b"file")),
            keys,
        ),
        "names no pgpKeys": (
            repository.commit(overlay("e"), pgp=pysequoia.Tsk.generate("E <e@example.org>")),
            keys,
        ),
    }
    await are_refused(git, open_site, refused)


async def are_refused(
    git: Git, site: Site, refused: dict[str, tuple[str, GitVerification]]
) -> None:
    """Each commit for good, with these words."""
    for words, (commit, verify) in refused.items():
        with pytest.raises(DownloadFailed, match=words) as caught:
            await git.archive(site.git(commit, verify=verify), "prod", None)
        assert caught.value.final


async def test_an_openpgp_signature_by_one_of_the_keys_will_do(git: Git, open_site: Site) -> None:
    ours, theirs = (pysequoia.Tsk.generate(f"{who} <{who}@example.org>") for who in "ab")
    repository, sign_ssh = open_site.repository, ed25519.Ed25519PrivateKey.generate()
    keys = GitVerification(
        ssh_keys=(public_line(sign_ssh),),
        pgp_keys=tuple(str(key.extract_certificate()) for key in (theirs, ours)),
    )
    signed = (
        repository.commit(overlay("by gpg"), pgp=ours),
        repository.commit(overlay("by ssh"), key=sign_ssh),
    )
    for commit in signed:
        found = await git.archive(open_site.git(commit, verify=keys), "prod", None)
        assert "prod/kustomization.yaml" in read_files(found)
    detached = pysequoia.SignatureMode.DETACHED
    other = pysequoia.sign(ours.signer(), b"something else", mode=detached)
    only_theirs = GitVerification(pgp_keys=(str(theirs.extract_certificate()),))
    broken = str(ours.extract_certificate()).replace("\n\n", "\n\nAAAA", 1)
    armor = b"-----BEGIN PGP SIGNATURE-----\n\n%s\n-----END PGP SIGNATURE-----"
    refused = {
        "is not signed": (repository.commit(overlay("a")), keys),
        "none of the pgpKeys": (repository.commit(overlay("b"), pgp=ours), only_theirs),
        "not of this content": (repository.commit(overlay("c"), gpgsig=other), keys),
        "signature is not readable": (
            repository.commit(overlay("d"), gpgsig=armor % b"AAAA"),
            keys,
        ),
        "one of the pgpKeys is not readable": (
            repository.commit(overlay("e"), pgp=ours),
            GitVerification(pgp_keys=(broken,)),
        ),
    }
    await are_refused(git, open_site, refused)


async def test_an_openpgp_key_that_was_revoked_signs_nothing(git: Git, open_site: Site) -> None:
    revoked = pysequoia.Tsk.generate("R <r@example.org>")
    certificate = revoked.extract_certificate()
    packets = bytes(certificate) + bytes(certificate.revoke(revoked.certifier()))
    assert pysequoia.Cert.from_bytes(packets).is_revoked
    armored = pysequoia.armor(packets, pysequoia.ArmorKind.PublicKey)
    commit = open_site.repository.commit(overlay("b"), pgp=revoked)
    verify = GitVerification(pgp_keys=(armored,))
    await are_refused(git, open_site, {"not one that is accepted": (commit, verify)})


def packed(kind: int, content: bytes, size: int) -> bytes:
    """A pack with one object."""
    head, rest = (kind << 4) | (size & 15), size >> 4
    header = bytearray()
    while rest:
        header.append(head | 0x80)
        head, rest = rest & 0x7F, rest >> 7
    header.append(head)
    body = b"PACK\x00\x00\x00\x02\x00\x00\x00\x01" + bytes(header) + content
    return body + sha1(body, usedforsecurity=False).digest()


def bomb() -> bytes:
    """A pack of some megabytes that holds 4 GiB of zeros."""
    size, part = 4 << 30, 16 << 20
    deflate = zlib.compressobj(9, wbits=-15)
    # A block that refers to nothing before it, over and over; then the stream's own checksum.
    block = deflate.compress(bytes(part)) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = (size % 65521 << 16 | 1).to_bytes(4, "big")
    return packed(3, b"\x78\xda" + block * (size // part) + b"\x03\x00" + checksum, size)


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (b"PACK\x00\x00\x00\x02junk", "not readable"),
        (packed(3, zlib.compress(b"hello"), 5), "does not hold the commit"),
        (None, "more than is allowed"),
    ],
    ids=["junk", "another object", "bomb"],
)
async def test_packs_that_are_none_lie_or_explode_are_refused(
    git: Git,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pack: bytes | None,
    words: str,
) -> None:
    commit = "c" * 40
    told = f"{commit} refs/heads/main\0shallow side-band-64k ofs-delta\n".encode()
    first = b"001e# service=git-upload-pack\n0000"
    refs = first + f"{len(told) + 4:04x}".encode() + told + b"0000"
    content = bomb() if pack is None else pack
    bands = b"".join(
        b"%04x\x01" % (len(part) + 5) + part
        for part in (content[at : at + 65000] for at in range(0, len(content), 65000))
    )
    answer = f"0034shallow {commit}".encode() + b"0000" + b"0008NAK\n" + bands + b"0000"
    pages = {
        "/apps.git/info/refs?service=git-upload-pack": Page(refs),
        "/apps.git/git-upload-pack": Page(answer),
    }
    with https_server(tmp_path, pages) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        source = GitOverlay(url=f"https://{HOST}:{port}/apps.git", commit=commit)
        with pytest.raises(DownloadFailed, match=words):
            await git.archive(source, "prod", None)


async def test_a_private_address_is_refused_for_git_too(open_site: Site, tmp_path: Path) -> None:
    git = Git(Downloader(DownloadPolicy(seconds=10)), tmp_path / "work", LIMIT)
    with pytest.raises(DownloadFailed, match="private or loopback") as caught:
        await git.archive(open_site.git("c" * 40), "prod", None)
    assert caught.value.final
