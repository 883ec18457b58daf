"""What the agent and the program that unpacks Git's packs for it write to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

JOB = "job.json"
"""A file with a `Job`; beside it are the packs, `*.pack`."""
WANTED = "wanted.json"
"""A file with the ids of the files that are still to be fetched; or else there is a result."""
RESULT = "files.tgz"
"""The overlay's files, a gzipped tar archive."""


@dataclass(frozen=True)
class Job:
    """What is to be done."""

    commit: str
    path: str
    """The overlay's folder, from the root."""
    keys: Mapping[str, list[str]] | None
    """By kind, `ssh` and `pgp`: who may have signed the commit. None asks for no signature."""
    asked: list[str]
    """Ids of files that the server was asked for already."""
    complete: bool
    """The server was asked for every file with the commit."""
