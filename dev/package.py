"""Builds what is deployed to the Functions app: `python -m dev.package FOLDER [--zip FILE]`.

The files that git does not ignore and `.funcignore` does not leave out, and beside them, where the
Functions host looks for them, the locked packages for its Linux and Python 3.13. Wheels only, by
hash: nothing is built, and nothing is installed on the platform itself. Prints each part's size.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from dev.state import REPOSITORY

PACKAGES = Path(".python_packages") / "lib" / "site-packages"
PYTHON = "3.13"
PLATFORM = "x86_64-manylinux_2_28"
UV = str(Path(sys.executable).parent / "uv")
GIT_SECONDS = 60
INSTALL_SECONDS = 600
EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def deployed_files() -> list[str]:
    """What the repository gives to a deployment, relative to its root."""
    tracked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(
        tracked, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=GIT_SECONDS
    ).stdout.splitlines()
    files = [name for name in files if (REPOSITORY / name).is_file()]
    ignored = subprocess.run(
        ["git", "-c", "core.excludesFile=.funcignore", "check-ignore", "--no-index", "--stdin"],
        cwd=REPOSITORY, input="\n".join(files), capture_output=True, text=True, check=False,
        timeout=GIT_SECONDS,
    ).stdout.splitlines()  # fmt: skip
    return sorted(set(files) - set(ignored))


def build(folder: Path) -> None:
    """Make the package in `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in deployed_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, target)
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(
        [
            UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary", ":all:", "--python-version", PYTHON, "--python-platform", PLATFORM,
            "--link-mode", "copy", "--target", str(folder / PACKAGES),
            "-r", str(REPOSITORY / "requirements.txt"),
        ],
        check=True, timeout=INSTALL_SECONDS, env=environ,
    )  # fmt: skip
    shutil.rmtree(folder / PACKAGES / "bin", ignore_errors=True)


def pack(folder: Path, file: Path) -> None:
    """The package as one archive: the same files give the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), EARLIEST_ZIP_TIME)
            entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def megabytes(folder: Path) -> float:
    """Size of everything below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> int:
    """0 when the package stands."""
    parser = argparse.ArgumentParser(prog="python -m dev.package", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--zip", type=Path)
    chosen = parser.parse_args()
    folder: Path = chosen.folder
    build(folder)
    packages = megabytes(folder / PACKAGES)
    own = megabytes(folder) - packages
    print(f"{len(deployed_files())} files of our own, {own:.1f} MB; packages {packages:.1f} MB")
    if chosen.zip:
        pack(folder, chosen.zip)
        print(f"{chosen.zip}: {chosen.zip.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
