"""Admission: streams wait in a bounded queue and get their epochs in batches.

After the loss of a relay thousands of agents come within seconds. One transaction admits some
hundred of them, two run at a time, and what would wait longer than it may is told when to come
back. Overflow policy: the newest is refused, so that who waits already gets in.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from relay.metrics import RelayMetrics
from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError
from shared.services import sessions, wakeups
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import REDIS_ERRORS, HotPath
from shared.services.sessions import Applicant, Grant
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

BATCH = 256
BATCHES_AT_ONCE = 2
RETRY_SECONDS = (2.0, 10.0)
"""Bounds of the random pause asked of an agent that is turned away."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    applicant: Applicant
    answer: asyncio.Future[Grant] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Admission:
    """The queue, and the tasks that empty it (`run`)."""

    def __init__(
        self,
        cp: HotPath,
        metrics: RelayMetrics,
        *,
        relay_id: str,
        alive_within: timedelta,
        most_waiting: int,
        wait_seconds: float,
    ) -> None:
        self._cp = cp
        self._metrics = metrics
        self._relay_id = relay_id
        self._alive_within = alive_within
        self._most_waiting = most_waiting
        self._wait_seconds = wait_seconds
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    async def grant(self, applicant: Applicant) -> Grant:
        """The applicant's epoch.

        Raises RateLimited when too many wait, Unavailable when Postgres does not answer in time,
        and what `sessions.refusal` says.
        """
        if len(self._queue) >= self._most_waiting:
            raise ArcBridgeError(
                ErrorCode.RATE_LIMITED,
                "too many agents connect at this moment",
                retry_after=random.uniform(*RETRY_SECONDS),  # noqa: S311 - spreads load, no secret
            )
        waiting = _Waiting(applicant)
        self._queue.append(waiting)
        self._metrics.waiting.set(len(self._queue))
        self._arrived.set()
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await waiting.answer
        except TimeoutError:
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE,
                "no session could be granted in time",
                retry_after=random.uniform(*RETRY_SECONDS),  # noqa: S311 - as above
            ) from None

    async def run(self) -> None:
        """Admit one batch after the other, until cancelled; BATCHES_AT_ONCE of this should run."""
        while True:
            await self._arrived.wait()
            batch = self._take()
            if not batch:
                self._arrived.clear()
                continue
            await self._admit(batch)

    def _take(self) -> list[_Waiting]:
        """The next batch: one stream for each cluster; a second one of a cluster waits on."""
        batch: dict[ClusterKey, _Waiting] = {}
        later: list[_Waiting] = []
        while self._queue and len(batch) < BATCH:
            waiting = self._queue.popleft()
            if waiting.answer.done():  # it has gone, or waited too long
                continue
            if waiting.applicant.key in batch:
                later.append(waiting)
            else:
                batch[waiting.applicant.key] = waiting
        self._queue.extendleft(reversed(later))
        self._metrics.waiting.set(len(self._queue))
        return list(batch.values())

    async def _admit(self, batch: list[_Waiting]) -> None:
        try:
            answers = await sessions.grant(
                self._cp,
                [waiting.applicant for waiting in batch],
                relay_id=self._relay_id,
                alive_within=self._alive_within,
            )
        except ArcBridgeError as error:
            answers = [error] * len(batch)
        except Exception:  # the supervisor of the batch: its applicants must not wait for nothing
            log.exception("admission failed")
            answers = [ArcBridgeError(ErrorCode.INTERNAL, "admission failed")] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                if isinstance(answer, Grant):
                    waiting.answer.set_result(answer)
                else:
                    waiting.answer.set_exception(answer)
        await self._tell_others(
            {
                waiting.applicant.key: answer
                for waiting, answer in zip(batch, answers, strict=True)
                if isinstance(answer, Grant)
            }
        )

    async def _tell_others(self, granted: dict[ClusterKey, Grant]) -> None:
        """Other relays may hold the streams before: a hint makes them look."""
        again = {key: grant.epoch for key, grant in granted.items() if grant.epoch > 1}
        if again:
            try:
                wake = wakeups.Wake(wakeups.Topic.SESSION, again)
                await wakeups.publish(self._cp.redis, [wake])
            except REDIS_ERRORS:
                log.warning("newer sessions could not be announced", sessions=len(again))
        for key, grant in granted.items():
            if grant.taken_over:
                self._metrics.takeovers.inc()
            if grant.is_duplicate:
                log.warning(
                    "two agents use one identity",
                    reason=ReasonCode.DUPLICATE_IDENTITY,
                    cluster=str(key),
                    takeovers=grant.takeovers,
                )
                try:
                    await sessions.note_duplicate(self._cp.db, key, grant)
                except ArcBridgeError as error:
                    log.warning("a duplicate identity is not on record", code=error.code)
