"""One leader among the replicas: only the leader streams and reconciles.

A leader that cannot renew stops at two thirds of the lease, and has the last third to let go of
what it does. One that does not manage, or that wakes from a pause longer than its lease, ends the
process on the spot: another leader may be at work, and what this one holds is old.

Where the Lease is gone, deleted by a person or not part of a restore, its holder makes it anew and
goes on; everybody else waits as long as it would have lasted, for the holder knows nothing yet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agent.clock import Clock
from agent.errors import KubeAlreadyExists, KubeConflict, KubeError, KubeNotFound
from agent.kube.client import KubeClient
from agent.lease.record import API_VERSION, KIND, LeaseRecord, Term, lease_body
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

LEASE_NAME = "arcbridge-agent"
EXIT_LEASE_LOST = 75
"""EX_TEMPFAIL of sysexits.h: start me again."""
RELEASE_SECONDS = 5.0
_NONE_YET = Term("", 0)


@dataclass
class Elector:
    """Takes part in the election of one namespace's agent."""

    kube: KubeClient
    namespace: str
    instance: str
    lease_seconds: float
    clock: Clock
    on_leading: Callable[[bool], None]
    was_led: Callable[[], Awaitable[bool]]
    """Whether this cluster's agent ever had a leader: then a Lease that is missing was deleted."""
    exit_at_once: Callable[[int], None] = os._exit
    term: Term = _NONE_YET
    """Of the lease that is held."""
    _renewed_at: float | None = None
    _seen_version: str = ""
    _seen_at: float = 0.0
    _seen_seconds: float = 0.0
    _missing_since: float | None = None

    @property
    def leading(self) -> bool:
        """Whether this process acts as the leader."""
        return self._renewed_at is not None

    @property
    def lease_left_seconds(self) -> float:
        """How long the lease lasts if it is never renewed again; negative once it is over."""
        if self._renewed_at is None:
            return 0.0
        return self._renewed_at + self.lease_seconds - self.clock.monotonic()

    def check_after_pause(self) -> None:
        """End the process if it leads on a lease that has ended: it was stopped for too long.

        Called by the handler of SIGCONT, which runs before anything else in the process does.
        """
        if self.leading and self.lease_left_seconds <= 0:
            self.exit_at_once(EXIT_LEASE_LOST)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, lead while it is held, wait again. Raises what `lead` raises."""
        while True:
            await self._acquire()
            await self._lead(lead)

    async def _acquire(self) -> None:
        while not await self._try():
            await self.clock.sleep(self.lease_seconds / 5)

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> None:
        log.info("leading", instance=self.instance)
        self.on_leading(True)
        work = asyncio.ensure_future(lead())
        try:
            await self._renew_while(work)
        finally:
            await self._stop(work)
            self.on_leading(False)
        if work.done() and not work.cancelled():
            work.result()

    async def _renew_while(self, work: asyncio.Future[None]) -> None:
        """Returns when the work ended by itself, or the lease cannot be renewed in time."""
        while self.lease_left_seconds > self.lease_seconds / 3:
            await asyncio.wait([work], timeout=self.lease_seconds / 5)
            if work.done():
                return
            await self._try()
            if self._renewed_at is None:
                return
        log.warning("lease cannot be renewed, stepping down", instance=self.instance)

    async def _stop(self, work: asyncio.Future[None]) -> None:
        """Let go of the work within what is left of the lease, then of the lease."""
        work.cancel()
        if not work.done():
            await asyncio.wait([work], timeout=max(0.0, self.lease_left_seconds))
        if not work.done():
            log.error("work does not end with its lease, ending the process")
            self.exit_at_once(EXIT_LEASE_LOST)
        held = self.lease_left_seconds > 0
        self._renewed_at = None
        if held:
            with suppress(KubeError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._release()

    async def _try(self) -> bool:
        """Take or renew the lease; False when another holds it or the API server does not help."""
        asked_at = self.clock.monotonic()
        try:
            async with asyncio.timeout(self.lease_seconds / 3):
                held = await self._take_or_renew()
        except (KubeError, TimeoutError) as error:
            log.warning("lease could not be written", error=str(error) or "no answer in time")
            return False
        if held:
            # Counted from before the request: the API server may have stamped it then.
            self._renewed_at = asked_at
        return held

    async def _take_or_renew(self) -> bool:
        resource = await self.kube.resource(API_VERSION, KIND)
        try:
            record = LeaseRecord.read(await self.kube.get(resource, LEASE_NAME, self.namespace))
        except KubeNotFound:
            return await self._create_unless_held()
        self._missing_since, self._seen_seconds = None, record.duration_seconds
        if record.version != self._seen_version:
            self._seen_version, self._seen_at = record.version, self.clock.monotonic()
        unchanged = self.clock.monotonic() - self._seen_at
        if self._renewed_at is not None and record.holder != self.instance:
            # Someone took it, although it had not ended here; it may even be free again. What this
            # one holds is older than what the other one did: step down at once.
            log.warning("lease was taken", holder=record.holder)
            ending = self.clock.monotonic() - self.lease_seconds * 2 / 3
            self._renewed_at = min(self._renewed_at, ending)
            return False
        if not record.may_be_taken(self.instance, unchanged):
            return False
        body = self._body(self.instance, record, taken=record.holder != self.instance)
        try:
            await self.kube.replace(resource, body)
        except KubeConflict:
            return False
        self.term = Term(record.uid, body["spec"]["leaseTransitions"])
        return True

    async def _create_unless_held(self) -> bool:
        if not self.leading and not await self._is_free():
            return False
        resource = await self.kube.resource(API_VERSION, KIND)
        try:
            made = await self.kube.create(resource, self._body(self.instance, None, taken=True))
        except (KubeAlreadyExists, KubeConflict):
            return False
        record = LeaseRecord.read(made)
        self.term = Term(record.uid, record.transitions)
        return True

    async def _is_free(self) -> bool:
        """Whether a Lease that is missing is nobody's."""
        if self._missing_since is None:
            self._missing_since = self.clock.monotonic()
        if not self._seen_version and not await self.was_led():
            return True
        missing = self.clock.monotonic() - self._missing_since
        return missing >= max(self.lease_seconds, self._seen_seconds)

    async def _release(self) -> None:
        resource = await self.kube.resource(API_VERSION, KIND)
        record = LeaseRecord.read(await self.kube.get(resource, LEASE_NAME, self.namespace))
        if record.holder == self.instance:
            await self.kube.replace(resource, self._body("", record, taken=False))

    def _body(self, holder: str, before: LeaseRecord | None, *, taken: bool) -> dict[str, Any]:
        return lease_body(
            LEASE_NAME,
            self.namespace,
            holder=holder,
            seconds=self.lease_seconds,
            now=self.clock.now(),
            before=before,
            taken=taken,
        )
