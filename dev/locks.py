"""Reads the locks: which packages each deployable is made of, with their hashes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dev.state import REPOSITORY

LOCKS = {
    "control-plane": REPOSITORY / "requirements.txt",
    "relay": REPOSITORY / "relay" / "requirements.txt",
    "agent": REPOSITORY / "agent" / "requirements.txt",
    "arcbridge": REPOSITORY / "arcbridge" / "requirements.txt",
}
"""By deployable."""
_PACKAGE = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;]+)(?: ; (?P<marker>.+?))? \\$"
)
_HASH = re.compile(r"^    --hash=sha256:([0-9a-f]{64})")


class LockError(ValueError):
    """A lock has a line that is not understood: nothing may be left out in silence."""


@dataclass(frozen=True)
class Package:
    """One package of a lock."""

    name: str
    """As PyPI normalises it (PEP 503)."""
    version: str
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed, in hexadecimal."""
    marker: str | None = None
    """When it is installed (PEP 508); None for always."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(lock: Path) -> list[Package]:
    """What a lock holds, in its order. Raises LockError."""
    found: list[Package] = []
    for number, line in enumerate(lock.read_text().splitlines(), start=1):
        if not line or line.startswith(("#", "    #")):
            continue
        if digest := _HASH.match(line):
            last = found.pop()
            hashes = (*last.hashes, digest[1])
            found.append(Package(last.name, last.version, hashes, last.marker))
        elif package := _PACKAGE.match(line):
            name = re.sub(r"[-_.]+", "-", package["name"]).lower()
            found.append(Package(name, package["version"], (), package["marker"]))
        else:
            raise LockError(f"{lock}:{number}: {line}")
    if loose := [each.name for each in found if not each.hashes]:
        raise LockError(f"{lock}: without hashes: {', '.join(loose)}")
    return found
