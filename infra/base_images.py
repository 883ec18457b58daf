"""The bases of a Dockerfile by digest, as build arguments: `python3 infra/base_images.py FILE`.

A Dockerfile names its bases by tag in `ARG` lines before its first `FROM`, for a build on a laptop.
A release names them by what the tag means when it is built, and its provenance keeps that. Asks the
registries, through `docker buildx imagetools`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SECONDS = 60
_ARGUMENT = re.compile(r"^ARG (\w+)=(\S+)$", re.MULTILINE)


def bases(dockerfile: str) -> dict[str, str]:
    """Argument and image of each base, of those that some `FROM` uses."""
    head, _, rest = dockerfile.partition("\nFROM ")
    used = set(re.findall(r"^FROM \$\{(\w+)\}", f"FROM {rest}", re.MULTILINE))
    return {name: image for name, image in _ARGUMENT.findall(head) if name in used}


def digest(image: str) -> str:
    """The digest of a tag, now."""
    command = ["docker", "buildx", "imagetools", "inspect", image]
    return subprocess.run(  # noqa: S603 - a fixed command, its argument from our own file
        [*command, "--format", "{{.Manifest.Digest}}"],
        check=True, capture_output=True, text=True, timeout=SECONDS,
    ).stdout.strip()  # fmt: skip


def main() -> int:
    """One line for each base."""
    for name, image in bases(Path(sys.argv[1]).read_text()).items():
        sys.stdout.write(f"{name}={image}@{digest(image)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
