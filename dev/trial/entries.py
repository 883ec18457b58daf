"""The list of what is tried: YAML outside of the repository that names local files.

    - name: podinfo                        # of the extension, and of the helm release
      namespace: podinfo                   # made for the trial where it is missing
      helm:
        first: podinfo-6.13.0.tgz          # archives, or folders of charts
        second: podinfo-6.14.1.tgz
        crds: create                       # skip, create or create-replace
      values: {replicaCount: 2}
      disturb:                             # an edit that must be told, and taken back
        kind: Deployment
        name: podinfo
        path: /spec/replicas
        value: 5
    - name: metrics
      namespace: kube-system
      kustomize: {first: v1, second: v2, path: overlays/release}

Paths are relative to the list. Network addresses are refused: whoever makes the list downloads.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from agent.reconcile.pointer import parse_pointer
from arcbridge.packing import ARCHIVE_BYTES, PackingError, pack_chart, pack_overlay
from dev.trial.release import Release
from shared.contract.base import Duration, Name, WireModel
from shared.contract.canonical import digest_bytes
from shared.contract.extension import DriftIgnore, DriftPolicy, Readiness, ReadinessCheck, Values
from shared.contract.helm_source import CrdPolicy, HelmArchive, HelmSource
from shared.contract.kustomize_source import KustomizeSource
from shared.contract.source import Source
from shared.contract.yaml_text import YamlRefused, read_documents

LIST_NAME = "trials.yaml"


class TrialListError(Exception):
    """The list, or a file that it names, cannot be used; says which and why."""


class _Versions(WireModel):
    first: Path
    second: Path

    @field_validator("first", "second", mode="before")
    @classmethod
    def _is_local(cls, path: Any) -> Any:
        if "://" in str(path):
            raise ValueError(f"{path} is an address: download it and name the file")
        return path


class Charts(_Versions):
    """Two versions of a chart: archives as helm packs them, or folders."""

    crds: CrdPolicy = CrdPolicy.CREATE
    test: bool = False
    """Run the chart's own tests, too."""


class Overlays(_Versions):
    """Two versions of an overlay: folders."""

    path: str = "."
    """The folder with the kustomization, below each."""


class Disturbance(WireModel):
    """An edit of one object, as a person would make it."""

    kind: str
    name: str
    namespace: Name | None = None
    """The entry's own when absent; an object that has none is found all the same."""
    path: str
    """RFC 6901 pointer to a field that the source declares."""
    value: JsonValue = None
    """Null takes the field away."""

    @field_validator("path")
    @classmethod
    def _points_somewhere(cls, path: str) -> str:
        if not parse_pointer(path):
            raise ValueError("the path names no field")
        return path


class Trial(WireModel):
    """One chart or overlay, and what is done with it."""

    name: Name
    namespace: Name
    helm: Charts | None = None
    kustomize: Overlays | None = None
    values: Values = Field(default_factory=dict)
    disturb: Disturbance
    timeout: Duration = timedelta(minutes=3)
    """For each version to become ready."""
    quiet: Duration = timedelta(seconds=2)
    """How long after that no drift may be seen: controllers change things late."""
    checks: Annotated[tuple[ReadinessCheck, ...], Field(max_length=16)] = ()
    ignore: Annotated[tuple[DriftIgnore, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.helm is None) == (self.kustomize is None):
            raise ValueError("give exactly one of helm and kustomize")
        if self.kustomize is not None and self.values:
            raise ValueError("values are for charts; an overlay has patches")
        return self

    @property
    def versions(self) -> tuple[Path, Path]:
        """The first and the second."""
        found = self.helm or self.kustomize
        if found is None:
            raise TypeError(f"{self.name} has no source")
        return found.first, found.second

    def release(self, version: Path) -> Release:
        """The first release of one version. Raises TrialListError where it cannot be packed."""
        return Release(
            self.name,
            self.namespace,
            self._source(version),
            values=dict(self.values),
            readiness=Readiness(timeout=self.timeout, checks=self.checks),
            drift=DriftPolicy(ignore=self.ignore),
        )

    def _source(self, version: Path) -> Source:
        try:
            if self.helm is not None:
                archive = _chart(version)
                return Source(
                    helm=HelmSource(archive=archive, crds=self.helm.crds, test=self.helm.test)
                )
            below = self.kustomize.path if self.kustomize else "."
            packed = pack_overlay(version / below)
            return Source(kustomize=KustomizeSource.model_validate(packed))
        except (PackingError, OSError, ValueError) as error:
            raise TrialListError(f"{self.name}: {error}") from error


def read_list(path: Path) -> tuple[Trial, ...]:
    """The entries of a file, or of the `trials.yaml` in a folder. Raises TrialListError."""
    file = path / LIST_NAME if path.is_dir() else path
    try:
        entries = [entry for page in read_documents(file.read_text()) for entry in _entries(page)]
    except OSError as error:
        raise TrialListError(f"{file} cannot be read: {error.strerror}") from error
    except (YamlRefused, UnicodeDecodeError) as error:
        raise TrialListError(f"{file}: {error}") from error
    trials = tuple(_trial(file, number, entry) for number, entry in enumerate(entries, 1))
    names = [trial.name for trial in trials]
    if not names:
        raise TrialListError(f"{file} lists nothing")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TrialListError(f"{file}: two entries are called {twice!r}")
    return trials


def _entries(page: Any) -> list[Any]:
    if page is None:
        return []
    return page if isinstance(page, list) else [page]


def _trial(file: Path, number: int, entry: Any) -> Trial:
    try:
        trial = Trial.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "entry"
        raise TrialListError(f"{file}: entry {number}: {place}: {first['msg']}") from error
    found = trial.helm or trial.kustomize
    if found is None:
        raise TypeError(f"{trial.name} has no source")
    folder = file.parent
    placed = found.model_copy(
        update={"first": folder / found.first, "second": folder / found.second}
    )
    for version in (placed.first, placed.second):
        if not version.exists():
            raise TrialListError(f"{file}: entry {number}: {version} is not there")
    return trial.model_copy(update={"helm" if trial.helm else "kustomize": placed})


def _chart(path: Path) -> HelmArchive:
    if path.is_dir():
        return HelmArchive.model_validate(pack_chart(path))
    content = path.read_bytes()
    if len(content) > ARCHIVE_BYTES:
        raise PackingError(
            f"{path}: {len(content)} bytes, {ARCHIVE_BYTES} fit into a document: "
            "a chart of this size comes from a repository"
        )
    return HelmArchive(content=base64.b64encode(content).decode(), digest=digest_bytes(content))
