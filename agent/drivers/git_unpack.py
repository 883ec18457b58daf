"""A program of its own: takes a Git pack apart and writes the files of one commit as an archive.

`python -m agent.drivers.git_unpack DIRECTORY`, with `job.json` and `fetched.pack` there; writes
`files.tgz`. It has no network and no credentials, and little memory: what would need more is
refused. Every object is found by the hash of its own content, from the commit's down, so a server
cannot slip in other files. Links and submodules are left out.
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from dulwich.object_format import SHA1
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.pack import PackData, PackInflater

from agent.drivers.ssh_signature import SignatureRefused, check_signature

MEMORY_LIMIT = 512 * 1024 * 1024
_PROCESSOR_SECONDS = 100
_UNPACKED_LIMIT = 64 * 1024 * 1024
_DEPTH_LIMIT = 64

Objects = Mapping[ObjectID, ShaFile]
Keys = Mapping[str, list[str]]
"""By kind: `ssh` and `pgp`."""


class Refused(ValueError):
    """The commit is not one to build from."""


def main(directory: Path) -> None:
    """Do the job of a directory. Exits with a sentence where it is refused."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR_SECONDS, _PROCESSOR_SECONDS))
    job = json.loads((directory / "job.json").read_text())
    try:
        archive = unpack(directory / "fetched.pack", job["commit"], job["keys"])
    except (Refused, SignatureRefused) as error:
        sys.exit(str(error))
    except MemoryError:
        sys.exit("the repository unpacks to more than is allowed")
    except Exception as error:  # whatever dulwich makes of a pack that is none
        sys.exit(f"the server's pack is not readable ({type(error).__name__})")
    (directory / "files.tgz").write_bytes(archive)


def unpack(pack: Path, commit_id: str, keys: Keys | None) -> bytes:
    """A gzipped tar archive of the commit's files. Raises Refused and SignatureRefused."""
    objects = _objects(pack)
    commit = objects.get(ObjectID(commit_id.encode()))
    if not isinstance(commit, Commit):
        raise Refused(f"the server's pack does not hold the commit {commit_id}")
    if keys is not None:
        _check_signed(commit, keys)
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in _files(objects, commit.tree, "", 0):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _objects(pack: Path) -> Objects:
    data = PackData(pack, object_format=SHA1)
    data.check()
    found: dict[ObjectID, ShaFile] = {}
    size = 0
    for item in PackInflater.for_pack_data(data):
        size += item.raw_length()
        if size > _UNPACKED_LIMIT:
            raise Refused("the repository unpacks to more than is allowed")
        found[item.id] = item
    return found


def _check_signed(commit: Commit, keys: Keys) -> None:
    signature = commit.gpgsig
    if signature is None:
        raise Refused(f"the commit {commit.id.decode()} is not signed")
    text, message = signature.decode(errors="replace"), commit.raw_without_sig()
    try:
        if "PGP" in text.partition("\n")[0]:
            _check_openpgp(text, message, keys["pgp"])
        else:
            check_signature(text, message, namespace="git", keys=keys["ssh"])
    except SignatureRefused as error:
        raise Refused(f"the commit {commit.id.decode()}: {error}") from error


def _check_openpgp(text: str, message: bytes, keys: list[str]) -> None:
    if not keys:
        raise SignatureRefused("it is signed with OpenPGP, and verify names no pgpKeys")
    from agent.drivers import openpgp_signature  # heavy, and seldom needed

    openpgp_signature.check_signature(text, message, keys=keys)


def _files(
    objects: Objects, tree_id: ObjectID, folder: str, depth: int
) -> Iterator[tuple[str, bytes]]:
    tree = objects.get(tree_id)
    if not isinstance(tree, Tree) or depth > _DEPTH_LIMIT:
        raise Refused(f"the server's pack does not hold the folder {folder or '/'}")
    for name, mode, item_id in tree.iteritems():
        path = folder + _checked(name)
        if S_ISDIR(mode):
            yield from _files(objects, item_id, f"{path}/", depth + 1)
        elif S_ISREG(mode):
            blob = objects.get(item_id)
            if not isinstance(blob, Blob):
                raise Refused(f"the server's pack does not hold the file {path}")
            yield path, blob.as_raw_string()


def _checked(name: bytes) -> str:
    text = name.decode(errors="surrogateescape")
    if text in ("", ".", "..") or set(text) & set("/\\\0"):
        raise Refused("the commit holds a file whose name leaves its folder")
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
