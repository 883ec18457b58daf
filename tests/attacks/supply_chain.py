"""Attacks on what ArcBridge is made of: a package, an action or an image that is another today."""

from __future__ import annotations

import re
from pathlib import Path

from dev.state import REPOSITORY
from tests.attacks.attack import held, row
from tests.attacks.target import Target

LOCKS = ("requirements.txt", "agent/requirements.txt", "relay/requirements.txt")
LOCKS += ("arcbridge/requirements.txt", "dev/requirements.txt")
_PINNED = re.compile(r"^[A-Za-z0-9._\[\],-]+==[^ ]+(?: ; .+)? \\$")
_USES = re.compile(r"uses: *([^\s#]+)")
_BASES = re.compile(r"^FROM (\S*[:@$]\S*)", re.MULTILINE)
"""Of other images: a stage's name has no tag."""
_BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_BY_COMMIT = re.compile(r"@[0-9a-f]{40}$")


def loose(lock: Path) -> list[str]:
    """Lines of a lock that name a package without an exact version and hashes."""
    lines = lock.read_text().splitlines()
    flaws = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line and not line.startswith((" ", "#")):
            good = _PINNED.match(line) and after.strip().startswith("--hash=sha256:")
            flaws += [] if good else [f"{lock.name}: {line}"]
    return flaws


@row(
    "supply chain",
    "unpinned dependency, action or image",
    expected="locks with hashes; actions by commit; bases by digest; SBOM",
)
async def unpinned(target: Target) -> str:
    del target  # what it is made of stands in the repository
    flaws = [flaw for name in LOCKS for flaw in loose(REPOSITORY / name)]
    packages = sum((REPOSITORY / name).read_text().count("==") for name in LOCKS)
    workflows = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
    actions = [use for path in workflows for use in _USES.findall(path.read_text())]
    flaws += [use for use in actions if not use.startswith("./") and not _BY_COMMIT.search(use)]
    recipes = sorted(REPOSITORY.glob("*/*Dockerfile"))
    bases = [base for path in recipes for base in _BASES.findall(path.read_text())]
    flaws += [base for base in bases if not _BY_DIGEST.search(base)]
    release = (REPOSITORY / ".github" / "workflows" / "release.yml").read_text()
    installs = [
        str(path.relative_to(REPOSITORY))
        for path in recipes
        if "pip install" in path.read_text() and "--require-hashes" not in path.read_text()
    ]
    seen = (
        f"{packages} packages by version and hash, {len(actions)} actions by commit, "
        f"{len(bases)} bases by digest, {len(flaws)} loose"
    )
    held(not flaws and not installs, f"{seen}: {[*flaws, *installs][:5]}")
    held("--sbom=true" in release and "scan-action@" in release and "cosign" in release, seen)
    return f"{seen}; a release makes an SBOM, is scanned and signed"
