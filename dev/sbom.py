"""`make sbom`: what each deployable is made of, as CycloneDX 1.6, out of its lock.

    python -m dev.sbom [DIRECTORY]

One file for each deployable, `NAME.cdx.json`. The lock says exactly what is installed, so the same
lock gives the same file but for its time. The operating system of an image is not in it: a release
attests that with the image itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev.locks import LOCKS, Package, packages
from dev.state import REPOSITORY

VERSION = "0.1.0"
NAMESPACE = uuid.UUID("6f3a4a3e-5f0e-4bb0-9d6c-7f6a5d1c2b10")
"""Of serial numbers: the same content has the same one."""


def component(package: Package) -> dict[str, Any]:
    """One library with every file that the lock allows for it."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{package.name}/{package.version}/",
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for digest in package.hashes
        ],
    }
    if package.marker:
        found["properties"] = [{"name": "arcbridge:marker", "value": package.marker}]
    return found


def bom(name: str, found: list[Package], *, now: datetime) -> dict[str, Any]:
    """The document of one deployable."""
    content = json.dumps([component(each) for each in found], sort_keys=True).encode()
    serial = uuid.uuid5(NAMESPACE, f"{name} {hashlib.sha256(content).hexdigest()}")
    root = f"pkg:generic/arcbridge-{name}@{VERSION}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": now.astimezone(UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": f"arcbridge-{name}",
                "version": VERSION,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [component(each) for each in found],
        "dependencies": [{"ref": root, "dependsOn": [each.purl for each in found]}],
    }


def write_all(directory: Path, now: datetime) -> list[Path]:
    """The documents of all deployables."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, lock in LOCKS.items():
        path = directory / f"{name}.cdx.json"
        path.write_text(json.dumps(bom(name, packages(lock), now=now), indent=1) + "\n")
        paths.append(path)
    return paths


def main() -> int:
    """Write them and say where; SOURCE_DATE_EPOCH makes the time repeatable."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "build" / "sbom"
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    for path in write_all(directory, now):
        count = len(json.loads(path.read_text())["components"])
        print(f"{path}: {count} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
