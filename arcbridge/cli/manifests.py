"""What `-f` names: documents out of files, folders and standard input, local sources packed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from arcbridge.cli.exits import CommandError, Exit
from arcbridge.packing import PackingError, pack_chart, pack_overlay
from shared.contract.yaml_text import YamlRefused, read_documents

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STANDARD_INPUT = Path("-")


def read_manifests(names: Sequence[Path], *, reason: str | None = None) -> list[dict[str, Any]]:
    """The Extension documents of all files, what others depend on first. Raises CommandError."""
    found = [
        _prepared(document, where, folder, reason)
        for name in names
        for where, folder, text in _texts(name)
        for document in _documents(where, text)
    ]
    if not found:
        where = ", ".join(str(name) for name in names)
        raise CommandError(Exit.USAGE, f"there is no document in {where}")
    return _dependencies_first(found)


def _dependencies_first(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order given, but that a dependency goes before what depends on it.

    Documents that are not well formed, and cycles, are left as they are: the server says why.
    """
    by_name = {str(_part(each, "metadata", "name")): each for each in documents}
    needs = {name: _names(_part(each, "spec", "dependsOn")) for name, each in by_name.items()}
    if len(by_name) < len(documents):
        return documents
    try:
        ordered = TopologicalSorter(needs).static_order()
        return [by_name[name] for name in ordered if name in by_name]
    except CycleError:
        return documents


def _part(document: dict[str, Any], section: str, field: str) -> Any:
    part = document.get(section)
    return part.get(field) if isinstance(part, dict) else None


def _names(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _texts(name: Path) -> Iterator[tuple[str, Path, str]]:
    """Where a text comes from, the folder its paths are relative to, and the text."""
    if name == STANDARD_INPUT:
        yield "standard input", Path.cwd(), sys.stdin.read()
        return
    files = [name]
    if name.is_dir():
        files = sorted(each for each in name.iterdir() if each.suffix in SUFFIXES)
    for file in files:
        try:
            yield str(file), file.parent, file.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(Exit.USAGE, f"{file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(Exit.USAGE, f"{file} is not UTF-8 text") from error


def _documents(where: str, text: str) -> list[Any]:
    try:
        return read_documents(text)
    except YamlRefused as error:
        raise CommandError(Exit.USAGE, f"{where}: {error}") from error


def _prepared(document: Any, where: str, folder: Path, reason: str | None) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("kind") != "Extension":
        raise CommandError(
            Exit.USAGE,
            f"{where}: only documents of kind Extension can be applied",
            remedy="start with: apiVersion: arcbridge.io/v1, kind: Extension",
        )
    try:
        prepared = _packed(document, folder)
    except (PackingError, OSError) as error:
        raise CommandError(Exit.USAGE, f"{where}: {error}") from error
    return {**prepared, "reason": reason} if reason else prepared


def _packed(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The document with `helm.chartPath` and a local `kustomize.path` put in its text."""
    spec = document.get("spec")
    if not isinstance(spec, dict) or not isinstance(source := spec.get("source"), dict):
        return document
    helm, kustomize = source.get("helm"), source.get("kustomize")
    if isinstance(helm, dict) and isinstance(helm.get("chartPath"), str):
        others = {key: value for key, value in helm.items() if key != "chartPath"}
        source = {**source, "helm": {**others, "archive": pack_chart(folder / helm["chartPath"])}}
    elif isinstance(kustomize, dict) and kustomize.keys() == {"path"}:
        source = {**source, "kustomize": pack_overlay(folder / str(kustomize["path"]))}
    return {**document, "spec": {**spec, "source": source}}
