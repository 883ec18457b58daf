"""What a deployer is given and what it gives back, whatever the source of an extension is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from agent.kube.client import KubeClient
from agent.reconcile.objects import Object, ObjectKey
from agent.reconcile.record import ExtensionRecord
from shared.contract.canonical import digest
from shared.contract.desired import DesiredExtension
from shared.contract.extension import ResolvedSpec

_CONTENT = ("source", "namespace", "values", "secrets", "serviceAccount")


class Action(StrEnum):
    """What bringing an extension to its spec takes."""

    NONE = "none"
    """It is there: only look."""
    INSTALL = "install"
    UPGRADE = "upgrade"


REMOVED = "Nothing of it is left"
HISTORY_STAYS = "Nothing of it is left but its Helm history"
SaveRecord = Callable[[ExtensionRecord], Awaitable[None]]


@dataclass(frozen=True)
class Work:
    """One attempt at one release of an extension."""

    desired: DesiredExtension
    spec: ResolvedSpec
    record: ExtensionRecord
    allowed_namespaces: frozenset[str] | None
    attempt: int
    save: SaveRecord
    """Makes a record durable; a deployer calls it around what must not be forgotten."""

    @property
    def name(self) -> str:
        """The extension's, and the release's, name."""
        return self.desired.name

    @property
    def as_user(self) -> str | None:
        """In whose name everything of this extension is applied; None for the agent's own."""
        return account_user(self.spec.namespace, self.spec.service_account)

    @property
    def content_digest(self) -> str:
        """Of what decides over the objects: a changed drift policy needs no new release."""
        wire = self.spec.to_canonical()
        return digest({key: wire[key] for key in _CONTENT if key in wire})


def account_user(namespace: str, service_account: str | None) -> str | None:
    """The user name of a ServiceAccount, for impersonation."""
    if service_account is None:
        return None
    return f"system:serviceaccount:{namespace}:{service_account}"


def acting_for(kube: KubeClient, as_user: str | None) -> KubeClient:
    """The client for what is written in an extension's name."""
    return kube if as_user is None else kube.acting_as(as_user)


@dataclass(frozen=True)
class Applied:
    """What stands in the cluster after an attempt."""

    objects: tuple[Object, ...]
    """As they should be, in their namespaces."""
    manager: str
    """The field manager they are applied under, but for those of `own`."""
    record: ExtensionRecord
    live: Mapping[ObjectKey, Object] = field(default_factory=dict)
    """As the API server last showed them."""
    as_user: str | None = None
    """In whose name it was applied."""
    own: frozenset[ObjectKey] = frozenset()
    """Objects that are applied under the agent's own field manager."""
    prove: Callable[[], Awaitable[None]] | None = None
    """What is left to do once all is ready; raises StepFailed where the release is no good."""
    fetch_seconds: float = 0.0
    apply_seconds: float = 0.0


class Deployer(Protocol):
    """Brings one kind of source to the cluster."""

    async def plan(self, work: Work) -> Action:
        """What `deploy` would do. Changes nothing."""
        ...

    async def rehearse(self, work: Work) -> None:
        """Fail as `deploy` would before it applies anything. Changes nothing. Raises StepFailed."""
        ...

    async def deploy(self, work: Work, action: Action) -> Applied:
        """Do it. Raises StepFailed, or a KubeError that is worth another attempt."""
        ...

    async def remove(self, record: ExtensionRecord) -> str:
        """Take everything of the extension away; nothing there is success. Returns what is to be
        said of it. Raises StepFailed."""
        ...
