"""How an artifact's origin may be asked: as anyone, or with the credentials of a Secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.drivers.credentials import Credentials
from agent.drivers.download import Download, DownloadFailed


async def _nobody() -> Credentials | None:
    return None


@dataclass(frozen=True)
class Access:
    """Reads credentials only when something has to be fetched: what is kept needs none."""

    mark: str = ""
    """Names the Secret, so that what was fetched with it is handed to nobody without it."""
    credentials: Callable[[], Awaitable[Credentials | None]] = _nobody
    """Raises StepFailed(CredentialsUnusable)."""


PUBLIC = Access()


def content_of(answer: Download, url: str, credentials: Credentials | None) -> bytes:
    """What came with a good answer. Raises DownloadFailed for any other."""
    shown = url.partition("?")[0]
    if answer.status == 200:
        return answer.content
    if answer.status in (401, 403):
        told = (
            f"the login of the Secret {credentials.source} is refused"
            if credentials and answer.told
            else "it wants credentials: name a Secret that has them for this host as credentialsRef"
        )
        raise DownloadFailed(f"{shown}: the answer is {answer.status}: {told}", final=True)
    final = answer.status in (404, 410)
    raise DownloadFailed(f"{shown}: the answer is {answer.status}", final=final)
