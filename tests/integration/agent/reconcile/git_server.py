"""A Git repository on loopback, and what is committed to it: served over https by dulwich, which
speaks version 0 of the protocol only, or by Git itself.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socketserver
import subprocess
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysequoia
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from dulwich.object_format import SHA1
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo, Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from tests.integration.agent.reconcile.https_server import server_context

MAIN = Ref(b"refs/heads/main")
LINK, SUBMODULE, FILE = 0o120000, 0o160000, 0o100644
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class Repository:
    """A repository that a test commits to."""

    repo: Repo | MemoryRepo

    @classmethod
    def create(cls, path: Path) -> Repository:
        return cls(Repo.init_bare(str(path), mkdir=True, object_format=SHA1.name))

    def commit(
        self,
        files: dict[str, str],
        *,
        key: ed25519.Ed25519PrivateKey | None = None,
        gpgsig: bytes | None = None,
        pgp: pysequoia.Tsk | None = None,
        odd: dict[str, int] | None = None,
    ) -> str:
        """A commit of these files on `main`; `odd` gives entries another mode. Its id."""
        made = Commit()
        made.tree = self._tree({**files, **{name: "target" for name in odd or {}}}, odd or {})
        made.author = made.committer = b"A Person <a@example.org>"
        made.author_time = made.commit_time = 1_700_000_000
        made.author_timezone = made.commit_timezone = 0
        made.message = b"Change\n"
        if MAIN in self.repo.refs.allkeys():
            made.parents = [self.repo.refs[MAIN]]
        if key is not None:
            made.gpgsig = sign(made.as_raw_string(), key)
        elif pgp is not None:
            detached = pysequoia.SignatureMode.DETACHED
            made.gpgsig = pysequoia.sign(pgp.signer(), made.as_raw_string(), mode=detached)
        elif gpgsig is not None:
            made.gpgsig = gpgsig
        self.repo.object_store.add_object(made)
        self.repo.refs[MAIN] = made.id
        # This server gives out only what a branch or a tag points to.
        self.repo.refs[Ref(b"refs/tags/" + made.id)] = made.id
        return made.id.decode()

    def forget_tag(self, commit: str) -> None:
        """Nothing but the history of a branch leads to the commit now."""
        del self.repo.refs[Ref(b"refs/tags/" + commit.encode())]

    def _tree(self, files: dict[str, str], odd: dict[str, int]) -> ObjectID:
        tree = Tree()
        folders: dict[str, dict[str, str]] = {}
        for path, text in files.items():
            folder, _, rest = path.partition("/")
            if rest:
                folders.setdefault(folder, {})[rest] = text
                continue
            mode = odd.get(path, FILE)
            blob = Blob.from_string(text.encode())
            if mode != SUBMODULE:
                self.repo.object_store.add_object(blob)
            tree.add(path.encode(), mode, blob.id)
        for folder, inside in folders.items():
            tree.add(folder.encode(), 0o040000, self._tree(inside, {}))
        self.repo.object_store.add_object(tree)
        return tree.id


def sign(message: bytes, key: ed25519.Ed25519PrivateKey, namespace: bytes = b"git") -> bytes:
    """What `ssh-keygen -Y sign` makes."""

    def text(part: bytes) -> bytes:
        return len(part).to_bytes(4, "big") + part

    digest = hashlib.sha512(message).digest()
    rest = text(namespace) + text(b"") + text(b"sha512")
    value = text(b"ssh-ed25519") + text(key.sign(b"SSHSIG" + rest + text(digest)))
    public = base64.b64decode(public_line(key).split()[1])
    blob = b"SSHSIG" + (1).to_bytes(4, "big") + text(public) + rest + text(value)
    lines = base64.encodebytes(blob).strip()
    return b"-----BEGIN SSH SIGNATURE-----\n" + lines + b"\n-----END SSH SIGNATURE-----"


def public_line(key: ed25519.Ed25519PrivateKey) -> str:
    """A line of authorized keys."""
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return public.decode()


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The test's output is not the place for it."""


def by_dulwich(repository: Repository) -> Wsgi:
    """Gives out only what a branch or a tag points to."""
    served: Wsgi = make_wsgi_chain(DictBackend({"/team/apps.git": repository.repo}))
    return served


def by_git(path: Path, *, filters: bool = True, version: int = 2, by_id: str = "none") -> Wsgi:
    """As large hosts serve it: by `git upload-pack`, which speaks version 2 and, where that is
    allowed, leaves files out. In version 0 it gives out `reachable` or `any` objects by their id,
    where that is allowed.
    """

    def git(*arguments: str, protocol: str = "", body: bytes = b"") -> bytes:
        allow = ["-c", f"uploadpack.allowFilter={str(filters).lower()}"]
        allow += ["-c", f"uploadpack.allow{by_id.title()}SHA1InWant=true"]
        return subprocess.run(
            ["git", *allow, "upload-pack", "--strict", "--stateless-rpc", *arguments, str(path)],
            input=body,
            env={**os.environ, "GIT_PROTOCOL": protocol},
            stdout=subprocess.PIPE,
            check=False,  # it says why not to who asks, and so does this
            timeout=60,
        ).stdout

    def served(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        protocol = environ.get("HTTP_GIT_PROTOCOL", "") if version == 2 else ""
        start("200 OK", [("Content-Type", "application/x-git-upload-pack-result")])
        if environ["PATH_INFO"].endswith("/info/refs"):
            told = git("--advertise-refs", protocol=protocol)
            return [b"001e# service=git-upload-pack\n0000", told]
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        return [git(protocol=protocol, body=body)]

    return served


@contextlib.contextmanager
def git_server(directory: Path, git: Wsgi, authorization: str | None = None) -> Iterator[int]:
    """Serve a repository; the port. `directory` gets `cert.pem`."""

    def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if authorization not in (None, environ.get("HTTP_AUTHORIZATION")):
            start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b""]
        return git(environ, start)

    server = wsgiref.simple_server.make_server("127.0.0.1", 0, guarded, _Server, _Quiet)
    with server:
        server.socket = server_context(directory).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)
