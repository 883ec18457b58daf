"""Decides whether an overlay may be built, from its files alone. Pure.

kustomize fetches whatever it does not find on disk and can run programs, so every reference has to
name a file or folder of the overlay itself, and fields that reach further are refused by name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.go_yaml import YamlUnreadable, read_documents

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REFUSED = frozenset({"helmCharts", "helmChartInflationGenerator", "helmGlobals"})
_PATHS = frozenset(
    {
        "bases",
        "components",
        "configurations",
        "crds",
        "generators",
        "patchesStrategicMerge",
        "resources",
        "transformers",
        "validators",
    }
)
"""Lists of paths; where kustomize allows it, an item may be YAML itself."""
_WITH_PATH = frozenset({"openapi", "patches", "patchesJson6902", "replacements"})
"""Objects, or lists of them, with a `path`."""
_GENERATORS = frozenset({"configMapGenerator", "secretGenerator"})
_CONFIGURED = frozenset({"generators", "transformers", "validators"})
"""Lists of files that configure kustomize's own plugins, and may name further files."""
_HARMLESS = frozenset(
    {
        "apiVersion",
        "buildMetadata",
        "commonAnnotations",
        "commonLabels",
        "generatorOptions",
        "images",
        "kind",
        "labels",
        "metadata",
        "namePrefix",
        "nameSuffix",
        "namespace",
        "replicas",
        "sortOptions",
        "vars",
    }
)
_FUNCTION_ANNOTATION = "config.kubernetes.io/function"


class OverlayRefused(ValueError):
    """The overlay reaches out of itself, or is not one."""


@dataclass(frozen=True)
class Reach:
    """What a kustomization has kustomize read."""

    targets: frozenset[str] = frozenset()
    """Files and folders, from the root; what leaves the root is not among them."""
    whole_folder: bool = False
    """It may read any file in or below its own folder, too."""


def reach_of(name: str, content: str) -> Reach:
    """What the kustomization of this name reads. One that is none reaches nothing: it is for
    `vet_overlay` to refuse it."""
    try:
        document = _read(name, content)
    except OverlayRefused:
        return Reach()
    folder = posixpath.dirname(name)
    named = [r for field, value in document.items() for r in _references(field, value)]
    paths = (path for path in named if isinstance(path, str) and not posixpath.isabs(path))
    targets = (_join(folder, path) for path in paths)
    return Reach(
        frozenset(target for target in targets if not target.startswith("..")),
        any(document.get(field) for field in _CONFIGURED),
    )


def vet_overlay(files: Mapping[str, str], path: str) -> None:
    """Return when `kubectl kustomize PATH` reads nothing but `files`. Raises OverlayRefused."""
    tree = {posixpath.normpath(name): content for name, content in files.items()}
    root = posixpath.normpath(path)
    if not any(_join(root, name) in tree for name in KUSTOMIZATIONS):
        raise OverlayRefused(f"{path!r} holds no kustomization.yaml")
    for name, content in tree.items():
        if _FUNCTION_ANNOTATION in content:
            raise OverlayRefused(f"{name}: functions that kustomize would run are refused")
    # kustomize enters the folder it is given and those that are referred to: a repository's
    # archive may hold others, which are none of its business.
    waiting, seen = [root], set[str]()
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        for name in (_join(folder, kustomization) for kustomization in KUSTOMIZATIONS):
            if name in tree:
                waiting.extend(_vet_kustomization(name, tree[name], tree))


def _vet_kustomization(name: str, content: str, tree: Mapping[str, str]) -> list[str]:
    """The files and folders that it refers to, all of them in the tree. Raises OverlayRefused."""
    document = _read(name, content)
    folder = posixpath.dirname(name)
    targets: list[str] = []
    for field, value in document.items():
        if field in _REFUSED:
            raise OverlayRefused(f"{name}: {field} would fetch and run a chart; use a helm source")
        if field not in _PATHS | _WITH_PATH | _GENERATORS | _HARMLESS:
            raise OverlayRefused(f"{name}: the field {field} is not known here")
        for reference in _references(field, value):
            if not isinstance(reference, str):
                raise OverlayRefused(f"{name}: {field} holds what is not text")
            targets.append(_vet_reference(name, folder, reference, tree))
    return targets


def _read(name: str, content: str) -> dict[str, Any]:
    try:
        documents = read_documents(content)
    except YamlUnreadable as error:
        raise OverlayRefused(f"{name} is not YAML: {error}") from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise OverlayRefused(f"{name} is not an object")
    return documents[0]


def _references(field: str, value: Any) -> Iterator[Any]:
    """What should be paths, whatever it is."""
    if field in _PATHS:
        yield from (i for i in _items(value) if not (isinstance(i, str) and "\n" in i))
    elif field in _WITH_PATH:
        found = value if isinstance(value, list) else [value]
        yield from (item["path"] for item in found if isinstance(item, dict) and "path" in item)
    elif field in _GENERATORS:
        for generator in _items(value):
            if isinstance(generator, dict):
                yield from (_file_of(entry) for entry in _items(generator.get("files")))
                yield from _items(generator.get("envs"))
                yield from (entry for entry in [generator.get("env")] if entry)


def _file_of(entry: Any) -> Any:
    """`key=path`, or the path alone."""
    return entry.rpartition("=")[2] if isinstance(entry, str) else entry


def _vet_reference(name: str, folder: str, reference: str, tree: Mapping[str, str]) -> str:
    """What `reference` names: it has to be a file of the tree, or a folder that holds some."""
    target = posixpath.normpath(_join(folder, reference))
    if posixpath.isabs(reference) or target.startswith("..") or "\\" in reference:
        raise OverlayRefused(f"{name}: {reference!r} is outside the overlay")
    if target not in tree and not _is_folder(target, tree):
        raise OverlayRefused(
            f"{name}: {reference!r} is not a file of the overlay; remote bases are refused"
        )
    return target


def _is_folder(target: str, tree: Iterable[str]) -> bool:
    return target == "." or any(name.startswith(f"{target}/") for name in tree)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _join(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))
