"""Local charts and overlays as inline sources: the same folder gives the same bytes, anywhere.

An archive's entries are in order, without times, owners or the machine's modes, so that packing
twice makes no new revision. Symbolic links and special files are refused; hidden files are left
out. Building subcharts is `helm dependency build`'s work: what is in the folder is what is packed.
"""

from __future__ import annotations

import base64
import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.contract.canonical import digest_bytes
from shared.contract.yaml_text import YamlRefused, read_document

ARCHIVE_BYTES = 180 * 1024
"""What base64 brings to the contract's 240 KiB."""
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REFERENCES = ("resources", "components", "bases")
_FILE_MODE = 0o644
FOLDER_BYTES = 8 * 1024 * 1024
"""More than any folder that could fit once it is packed: beyond it nothing is read."""


class PackingError(Exception):
    """A folder cannot be packed; says which file and why."""


def pack_chart(folder: Path) -> dict[str, str]:
    """A chart's folder as `helm.archive`: `content` (base64) and `digest`."""
    name = _chart_name(folder)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in _files(folder):
            member = tarfile.TarInfo(f"{name}/{path.relative_to(folder).as_posix()}")
            member.size, member.mode = path.stat().st_size, _FILE_MODE
            with path.open("rb") as content:
                archive.addfile(member, content)
    packed = gzip.compress(plain.getvalue(), compresslevel=9, mtime=0)
    # Byte 9 of the header names the operating system (RFC 1952): the same everywhere.
    packed = packed[:9] + b"\xff" + packed[10:]
    if len(packed) > ARCHIVE_BYTES:
        raise PackingError(
            f"{folder}: {len(packed)} bytes packed, {ARCHIVE_BYTES} fit into a document: "
            "push the chart to a repository and name it with repo, chart and version"
        )
    return {"content": base64.b64encode(packed).decode(), "digest": digest_bytes(packed)}


def pack_overlay(folder: Path) -> dict[str, Any]:
    """An overlay's folder with the local bases it refers to, as `kustomize.files` and `path`."""
    folder = folder.resolve()
    folders = _with_bases(folder)
    root = Path(os.path.commonpath(folders))
    files = {
        path.relative_to(root).as_posix(): _text(path)
        for each in sorted(folders)
        for path in _files(each)
    }
    return {"files": dict(sorted(files.items())), "path": folder.relative_to(root).as_posix()}


def _chart_name(folder: Path) -> str:
    try:
        chart = read_document(_text(folder / "Chart.yaml"))
    except FileNotFoundError:
        raise PackingError(f"{folder} is no chart: it has no Chart.yaml") from None
    except YamlRefused as error:
        raise PackingError(f"{folder / 'Chart.yaml'}: {error}") from error
    name = chart.get("name") if isinstance(chart, dict) else None
    if not isinstance(name, str) or not name or "/" in name:
        raise PackingError(f"{folder / 'Chart.yaml'} has no name")
    return name


def _with_bases(folder: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(_references(current))
    return found


def _references(folder: Path) -> Iterator[Path]:
    """The local folders that a kustomization names; remote ones are the server's to refuse."""
    file = next((folder / name for name in _KUSTOMIZATIONS if (folder / name).is_file()), None)
    if file is None:
        raise PackingError(f"{folder} has no kustomization.yaml")
    try:
        content = read_document(_text(file))
    except YamlRefused as error:
        raise PackingError(f"{file}: {error}") from error
    entries = content if isinstance(content, dict) else {}
    for key in _REFERENCES:
        named = entries.get(key)
        for each in named if isinstance(named, list) else ():
            path = (folder / str(each)).resolve()
            if path.is_dir():
                yield path


def _files(folder: Path) -> Iterator[Path]:
    size = 0
    for path in sorted(folder.rglob("*"), key=lambda each: each.relative_to(folder).as_posix()):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PackingError(f"{path} is a link or a special file: put a real file there")
        if path.is_file():
            size += path.stat().st_size
            if size > FOLDER_BYTES:
                raise PackingError(f"{folder} holds more than 8 MiB: is it the right folder?")
            yield path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PackingError(f"{path} is not UTF-8 text") from None
