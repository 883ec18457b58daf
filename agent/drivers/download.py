"""Downloads content for extensions: over https only, from vetted addresses, within limits.

A host's name is resolved once, and the connection goes to the address that was vetted: a name that
points elsewhere a moment later changes nothing. Proxies are not used, because a proxy resolves the
name again. Redirects are followed to https only, and each is vetted like the first URL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from agent.drivers.addresses import refusal
from agent.errors import AgentError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX = 5

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host and port. Raises OSError."""


class DownloadFailed(AgentError):
    """The content cannot be had. `final` where asking again cannot help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


@dataclass(frozen=True)
class Download:
    """An answer, whatever its status is but for redirects."""

    status: int
    headers: httpx.Headers
    content: bytes


@dataclass(frozen=True)
class DownloadPolicy:
    """Where content may come from, and how long it may take."""

    hosts_allowed: frozenset[str] = frozenset()
    """Empty allows every host."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts whose address may be private or loopback."""
    seconds: float = 300.0
    """Deadline of one download, redirects included."""


async def resolve(host: str, port: int) -> list[str]:
    """The system's answer, in its order of preference. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Downloader:
    """Makes one connection for each request: downloads are rare."""

    def __init__(self, policy: DownloadPolicy, *, resolve: Resolve = resolve) -> None:
        self._policy = policy
        self._resolve = resolve

    async def get(
        self, url: str, *, limit: int, headers: Mapping[str, str] | None = None
    ) -> Download:
        """What is at `url`, at most `limit` bytes of it. Raises DownloadFailed.

        `headers` are not sent on to another host that the answer redirects to.
        """
        try:
            async with asyncio.timeout(self._policy.seconds):
                return await self._follow(url, limit, dict(headers or {}))
        except TimeoutError as error:
            raise DownloadFailed(
                f"{_shown(url)}: no end of it in {self._policy.seconds:g} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = str(error) or type(error).__name__
            raise DownloadFailed(f"{_shown(url)}: {reason}") from error

    async def _follow(self, url: str, limit: int, headers: dict[str, str]) -> Download:
        for _ in range(_REDIRECTS_MAX + 1):
            answer = await self._once(url, limit, headers)
            if answer.status not in _REDIRECTS:
                return answer
            target = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {}
            url = target
        raise DownloadFailed(f"{_shown(url)}: more than {_REDIRECTS_MAX} redirects", final=True)

    async def _once(self, url: str, limit: int, headers: Mapping[str, str]) -> Download:
        host, port = self._host_of(url)
        last: Exception | None = None
        for address in await self._vetted(host, port):
            try:
                return await self._ask(url, host, address, limit, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
        raise DownloadFailed(f"{_shown(url)}: {last or 'the host has no address'}") from last

    def _host_of(self, url: str) -> tuple[str, int]:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or 443
        except ValueError as error:
            raise DownloadFailed(f"not a URL: {error}", final=True) from error
        if parts.scheme != "https" or not host:
            raise DownloadFailed(f"{_shown(url)}: only https is allowed", final=True)
        if parts.username is not None or parts.password is not None:
            raise DownloadFailed(f"{_shown(url)}: a URL with credentials is refused", final=True)
        allowed = self._policy.hosts_allowed
        if allowed and host not in allowed:
            raise DownloadFailed(f"{host} is not among the hosts this agent allows", final=True)
        return host, port

    async def _vetted(self, host: str, port: int) -> list[str]:
        """The host's addresses; one bad one among them spoils all."""
        try:
            addresses = [str(ipaddress.ip_address(host))]
        except ValueError:
            addresses = await self._resolve(host, port)
        private_allowed = host in self._policy.private_hosts
        for address in addresses:
            if why := refusal(address, private_allowed=private_allowed):
                raise DownloadFailed(f"{host} is refused: {address} is {why}", final=True)
        return addresses

    async def _ask(
        self, url: str, host: str, address: str, limit: int, headers: Mapping[str, str]
    ) -> Download:
        wanted = httpx.URL(url)
        request_headers = {
            **headers,
            "Host": wanted.netloc.decode("ascii"),
            "Accept-Encoding": "identity",
            "User-Agent": "arcbridge-agent",
        }
        async with (
            httpx.AsyncClient(
                verify=ssl.create_default_context(), trust_env=False, timeout=httpx.Timeout(30.0)
            ) as client,
            client.stream(
                "GET",
                wanted.copy_with(host=address, fragment=None),
                headers=request_headers,
                # The certificate is checked against the name, whatever the address is.
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code in _REDIRECTS:
                return Download(response.status_code, response.headers, b"")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > limit:
                    raise DownloadFailed(f"{_shown(url)}: larger than {limit} bytes", final=True)
            return Download(response.status_code, response.headers, bytes(body))


def _shown(url: str) -> str:
    """The URL without what may be a secret in it: its query."""
    return url.partition("?")[0]
