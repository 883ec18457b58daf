"""What the agent remembers of an extension, kept in the cluster itself.

One ConfigMap per extension in the agent's namespace. It is written before objects are created and
after they are deleted, so that whatever was killed in between, the next reconcile knows every
object that may exist. It holds names and states, never values or secrets.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError

from agent.errors import KubeNotFound
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.objects import ESTABLISHED_FIRST as _HOLDS_OTHERS
from agent.reconcile.objects import ObjectKey, ObjectRef
from shared.contract.base import Digest, Name, Timestamp, WireModel
from shared.contract.desired import DesiredExtension
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.contract.status import Condition
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

RECORD_LABEL = "arcbridge.io/record"
_KEY = "record.json"
_PREFIX = "arcbridge-extension-"
_CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", namespaced=True)
_NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)


_NEEDED = frozenset({"inventory", "secrets", "asUser"})
"""Without these, objects would be forgotten."""


class SourceKind(StrEnum):
    """What an extension is made of."""

    HELM = "helm"
    KUSTOMIZE = "kustomize"
    FLUX = "flux"


class InventoryItem(WireModel, extra="ignore"):
    """One object that belongs, or may belong, to the extension."""

    api_version: str
    kind: str
    namespace: str = ""
    name: str
    found: bool = False
    """Someone else had made it before; as long as this holds it is never deleted."""
    fresh: bool = False
    """No release that was ready had it: to take it away again destroys nothing that worked."""
    applied_as: str | None = None
    """In whose name it was applied, where that is not the record's `as_user` any more; empty for
    the agent's own."""

    @classmethod
    def of(
        cls,
        ref: ObjectRef,
        *,
        found: bool = False,
        fresh: bool = False,
        applied_as: str | None = None,
    ) -> InventoryItem:
        """The item for a reference."""
        return cls(
            api_version=ref.api_version,
            kind=ref.kind,
            namespace=ref.namespace,
            name=ref.name,
            found=found,
            fresh=fresh,
            applied_as=applied_as,
        )

    @property
    def ref(self) -> ObjectRef:
        """The reference for an item."""
        return ObjectRef(self.api_version, self.kind, self.namespace, self.name)


class ExtensionRecord(WireModel, extra="ignore"):
    """The memory of one extension. What a later release of the agent put there is left alone."""

    extension: Name
    source: SourceKind
    namespace: Name
    as_user: str | None = None
    """In whose name it was applied, and is removed."""
    keep_history: bool = False
    """A Helm release leaves its history behind when it is uninstalled."""
    depends_on: tuple[Name, ...] = ()
    """What it needed when it was applied: it is taken away before them."""
    generation: Annotated[int, Field(ge=0)] = 0
    """The newest that was worked on."""
    revision: Annotated[int, Field(ge=1)] = 1
    spec_digest: Digest | None = None
    rollout_id: UUID | None = None
    content_digest: Digest | None = None
    """Of what was last applied in full; None while an apply is under way."""
    installed: bool = False
    """Some content was applied in full at least once."""
    phase: ExtensionPhase = ExtensionPhase.APPLYING
    reason: ReasonCode = ReasonCode.PROGRESSING
    attempt: Annotated[int, Field(ge=1)] = 1
    conditions: tuple[Condition, ...] = ()
    inventory: tuple[InventoryItem, ...] = ()
    secrets: tuple[InventoryItem, ...] = ()
    """Objects made from secrets by reference, where helm has the others."""
    first_seen: dict[str, Timestamp] = Field(default_factory=dict)
    """When each drifted field was first seen so, by object and pointer."""
    corrections: Annotated[int, Field(ge=0)] = 0
    correction: Annotated[int, Field(ge=0)] = 0
    """The highest `correction` of the desired document that was acted on."""

    @property
    def found(self) -> frozenset[ObjectKey]:
        """Objects of the inventory that someone else had made."""
        return frozenset(item.ref.key for item in self.inventory if item.found)

    @property
    def proven(self) -> frozenset[ObjectKey]:
        """Objects of the inventory that a release had that was ready."""
        return frozenset(item.ref.key for item in self.inventory if not item.fresh)

    def guarded(self) -> list[ObjectRef]:
        """What the deletion cap guards: what a release had that was ready, and is to be deleted
        when it is no longer wanted."""
        return [item.ref for item in self.inventory if not (item.found or item.fresh)]

    def taken_over(self) -> ExtensionRecord:
        """The record of a release that is ready: what was found is its own from now on, but for
        namespaces and CRDs, which hold what others put there."""
        items = tuple(
            item.model_copy(
                update={"found": item.found and item.kind in _HOLDS_OTHERS, "fresh": False}
            )
            for item in self.inventory
        )
        return self.model_copy(update={"inventory": items})

    def handed_to(self, as_user: str | None) -> ExtensionRecord:
        """The record of an extension that is applied in the name of `as_user` from now on; what
        stands there was not."""
        if as_user == self.as_user:
            return self
        return self.model_copy(
            update={
                "as_user": as_user,
                "inventory": tuple(map(self._stamped, self.inventory)),
                "secrets": tuple(map(self._stamped, self.secrets)),
            }
        )

    def _stamped(self, item: InventoryItem) -> InventoryItem:
        known = item.applied_as is not None
        return item if known else item.model_copy(update={"applied_as": self.as_user or ""})

    def is_for(self, desired: DesiredExtension) -> bool:
        """True when the record is of this very release of the extension."""
        return (self.generation, self.rollout_id, self.spec_digest) == (
            desired.generation,
            desired.rollout_id,
            desired.spec_digest,
        )

    def outdates(self, desired: DesiredExtension) -> bool:
        """True when this is of a later release than the one that is desired.

        Generations grow with each release, and ids of rollouts (UUIDv7) sort by time. A release
        that is older in both is from a control plane that was restored to an earlier moment; one of
        a newer rollout counts whatever its generation, as where a cluster changed its control
        plane.
        """
        return (
            self.rollout_id is not None
            and self.generation > desired.generation
            and self.rollout_id.int >= desired.rollout_id.int
        )


def read_record(text: str) -> ExtensionRecord:
    """A record as it was written, maybe by a later release of the agent that was taken back.

    A field of which this release does not know what it says counts as not written: what was applied
    must be known however it went. Raises ValueError where not even that can be read.
    """
    try:
        return ExtensionRecord.model_validate_json(text)
    except ValidationError as error:
        wrong = {found["loc"][0] for found in error.errors() if found["loc"]}
        content = json.loads(text)
        if not isinstance(content, dict) or wrong & _NEEDED:
            raise
    kept = {name: value for name, value in content.items() if name not in wrong}
    return ExtensionRecord.model_validate(kept)


class RecordStore:
    """Reads and writes records."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def prepare(self) -> None:
        """Make the agent's namespace where it is missing."""
        try:
            await self._kube.get(_NAMESPACES, self._namespace)
        except KubeNotFound:
            body = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self._namespace},
            }
            await self._kube.apply(_NAMESPACES, body)

    async def load(self, extension: str) -> ExtensionRecord | None:
        """The record, or None where there is none that can be read."""
        try:
            return _read(await self._kube.get(_CONFIG_MAPS, _PREFIX + extension, self._namespace))
        except KubeNotFound:
            return None

    async def load_all(self) -> tuple[ExtensionRecord, ...]:
        """Every record that can be read. Raises KubeError."""
        page = await self._kube.list(
            _CONFIG_MAPS, self._namespace, label_selector=f"{RECORD_LABEL}=extension"
        )
        found = map(_read, page.items)
        return tuple(record for record in found if record is not None)

    async def save(self, record: ExtensionRecord) -> None:
        """Write the record; returns once the cluster holds it."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _PREFIX + record.extension,
                "namespace": self._namespace,
                "labels": {RECORD_LABEL: "extension"},
            },
            "data": {_KEY: record.model_dump_json(by_alias=True, exclude_defaults=True)},
        }
        await self._kube.apply(_CONFIG_MAPS, body, force=True)

    async def forget(self, extension: str) -> None:
        """Delete the record."""
        try:
            await self._kube.delete(_CONFIG_MAPS, _PREFIX + extension, self._namespace)
        except KubeNotFound:
            return


def _read(config_map: dict[str, Any]) -> ExtensionRecord | None:
    try:
        return read_record((config_map.get("data") or {}).get(_KEY, ""))
    except ValueError:
        log.warning("record unreadable, starting anew", record=config_map["metadata"]["name"])
        return None
