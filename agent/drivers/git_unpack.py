"""A program of its own: takes Git packs apart and writes the files of one overlay as an archive.

`python -m agent.drivers.git_unpack DIRECTORY`, with a job and packs there (`git_job`). Where the
packs hold every file that the overlay is made of, it writes the archive; otherwise the ids of those
to be fetched before it is called again. It has no network and no credentials, and little memory:
what would need more is refused. Every object is found by the hash of its own content, from the
commit's down, so a server cannot slip in other files.
"""

from __future__ import annotations

import gzip
import json
import resource
import signal
import sys
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from dulwich.objects import Commit, ObjectID

from agent.drivers.archive import UNPACKED_LIMIT
from agent.drivers.git_job import JOB, RESULT, WANTED, Job
from agent.drivers.git_overlay import gather
from agent.drivers.git_packs import Packs, Refused
from agent.drivers.ssh_signature import SignatureRefused, check_signature

MEMORY_LIMIT = 384 * 1024 * 1024
"""Bytes of addresses beside the packs, which are mapped and not read in."""
PROCESSOR_SECONDS = 100


def main(directory: Path) -> None:
    """Do the job of a directory. Exits with a sentence where it is refused."""
    mapped = sum(path.stat().st_size for path in directory.glob("*.pack"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT + mapped,) * 2)
    signal.signal(signal.SIGXCPU, _out_of_time)
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
    job = Job(**json.loads((directory / JOB).read_text()))
    try:
        unpack(directory, job)
    except (Refused, SignatureRefused) as error:
        sys.exit(str(error))
    except MemoryError:
        sys.exit("the repository unpacks to more than is allowed")
    except Exception as error:  # whatever dulwich makes of a pack that is none
        sys.exit(f"the server's pack is not readable ({type(error).__name__})")


def _out_of_time(*_: object) -> None:
    sys.exit("the repository takes too long to unpack")


def unpack(directory: Path, job: Job) -> None:
    """Write the archive, or what is wanted for it. Raises Refused and SignatureRefused."""
    packs = Packs(directory)
    commit = packs.commit(ObjectID(job.commit.encode()))
    if commit is None:
        raise Refused(f"the server's pack does not hold the commit {job.commit}")
    if job.keys is not None:
        _check_signed(commit, job.keys)
    overlay = gather(packs, commit.tree, job.path)
    missing = {path: item.decode() for path, item in overlay.missing(packs).items()}
    for path, item in missing.items():
        if job.complete or item in job.asked:
            raise Refused(f"the server's pack does not hold the file {path}")
    if missing:
        (directory / WANTED).write_text(json.dumps(sorted(set(missing.values()))))
    else:
        _write_archive(directory / RESULT, packs, overlay.files)


def _write_archive(target: Path, packs: Packs, files: Mapping[str, ObjectID]) -> None:
    size = 0
    with (
        gzip.GzipFile(target, "wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, item in sorted(files.items()):
            content = packs.content(item)
            if content is None:
                raise Refused(f"the server's pack does not hold the file {path}")
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            size += entry.size
            if size > UNPACKED_LIMIT:
                raise Refused("the overlay unpacks to more than is allowed")
            archive.addfile(entry, BytesIO(content))


def _check_signed(commit: Commit, keys: Mapping[str, list[str]]) -> None:
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
