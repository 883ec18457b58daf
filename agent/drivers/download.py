"""Downloads content for extensions: over https only, from vetted addresses, within limits.

A host's name is resolved once, and the connection goes to the address that was vetted: a name that
points elsewhere a moment later changes nothing. Redirects are followed to https only, and each is
vetted like the first URL. A proxy would resolve the name again, so only hosts that the platform's
team has named are asked for through one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

import httpx

from agent.drivers.addresses import Network, is_within, refusal
from agent.drivers.credentials import Credentials
from agent.errors import AgentError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX = 5

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host and port. Raises OSError."""
Sink = Callable[[bytes], Awaitable[None]]
"""Takes an answer's content as it comes."""


class DownloadFailed(AgentError):
    """The content cannot be had. `final` where asking again cannot help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class DownloadTooLarge(DownloadFailed):
    """There is more of it than may be had. Final."""


@dataclass(frozen=True)
class Download:
    """An answer, whatever its status is but for redirects."""

    status: int
    headers: httpx.Headers
    content: bytes
    told: bool = False
    """A login was sent with the request."""


@dataclass(frozen=True)
class DownloadPolicy:
    """Where content may come from, and how long it may take."""

    hosts_allowed: frozenset[str] = frozenset()
    """Empty allows every host."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts whose address may be private or loopback, and that a proxy may be asked for."""
    private_networks: tuple[Network, ...] = ()
    """Private ranges that any host's address may be in."""
    seconds: float = 300.0
    """Deadline of one download, redirects included."""


@dataclass(frozen=True)
class _Request:
    """What is asked for, wherever it is asked."""

    limit: int
    headers: Mapping[str, str] = field(repr=False)
    credentials: Credentials | None = None
    basic: bool = False
    body: bytes | None = None
    sink: Sink | None = None


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
        self,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        basic: bool = False,
    ) -> Download:
        """What is at `url`, at most `limit` bytes of it. Raises DownloadFailed.

        `headers` are not sent on to another host that the answer redirects to; `credentials` are
        sent to the hosts that they are for and to no other, wherever a redirect leads, as name and
        password where the server knows nothing else (`basic`).
        """
        asked = _Request(limit, dict(headers or {}), credentials, basic)
        return await self._ask_within_time(url, asked)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        basic: bool = False,
        sink: Sink | None = None,
    ) -> Download:
        """The same for a request with a body; its redirects are not followed.

        With a `sink`, that gets the content of a good answer piece by piece, and nothing is held
        in memory; what it raises comes through.
        """
        asked = _Request(limit, dict(headers or {}), credentials, basic, body, sink)
        return await self._ask_within_time(url, asked)

    async def _ask_within_time(self, url: str, asked: _Request) -> Download:
        try:
            async with asyncio.timeout(self._policy.seconds):
                return await self._follow(url, asked)
        except TimeoutError as error:
            raise DownloadFailed(
                f"{_shown(url)}: no end of it in {self._policy.seconds:g} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = str(error) or type(error).__name__
            raise DownloadFailed(f"{_shown(url)}: {reason}") from error

    async def _follow(self, url: str, asked: _Request) -> Download:
        headers = asked.headers
        for _ in range(_REDIRECTS_MAX + 1):
            own = {**headers, **self._authorization(url, asked)}
            answer = await self._once(url, replace(asked, headers=own))
            if answer.status not in _REDIRECTS or asked.body is not None:
                return replace(answer, told="Authorization" in own)
            target = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {}
            url = target
        raise DownloadFailed(f"{_shown(url)}: more than {_REDIRECTS_MAX} redirects", final=True)

    def _authorization(self, url: str, asked: _Request) -> dict[str, str]:
        login = asked.credentials.login(*self._host_of(url)) if asked.credentials else None
        if login is None:
            return {}
        return {"Authorization": login.basic if asked.basic else login.authorization}

    async def _once(self, url: str, asked: _Request) -> Download:
        host, port = self._host_of(url)
        if proxy := self._proxy(host):
            return await self._ask(url, host, asked, proxy=proxy)
        last: Exception | None = None
        for address in await self._vetted(host, port):
            try:
                return await self._ask(url, host, asked, address=address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
        raise DownloadFailed(f"{_shown(url)}: {last or 'the host has no address'}") from last

    def _proxy(self, host: str) -> str | None:
        """The environment's proxy for a host that was named as one to be trusted."""
        if host not in self._policy.private_hosts:
            return None
        if urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get("https")

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
        named = host in self._policy.private_hosts
        for address in addresses:
            private_allowed = named or is_within(address, self._policy.private_networks)
            if why := refusal(address, private_allowed=private_allowed):
                raise DownloadFailed(f"{host} is refused: {address} is {why}", final=True)
        return addresses

    async def _ask(
        self,
        url: str,
        host: str,
        asked: _Request,
        *,
        address: str | None = None,
        proxy: str | None = None,
    ) -> Download:
        """One request, to the vetted address or through a proxy."""
        wanted = httpx.URL(url).copy_with(fragment=None)
        request_headers = {
            **asked.headers,
            "Host": wanted.netloc.decode("ascii"),
            "Accept-Encoding": "identity",
            "User-Agent": "arcbridge-agent",
        }
        async with (
            httpx.AsyncClient(
                verify=ssl.create_default_context(),
                trust_env=False,
                proxy=proxy,
                timeout=httpx.Timeout(30.0),
            ) as client,
            client.stream(
                "GET" if asked.body is None else "POST",
                wanted if address is None else wanted.copy_with(host=address),
                headers=request_headers,
                content=asked.body,
                # The certificate is checked against the name, whatever the address is.
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code in _REDIRECTS:
                return Download(response.status_code, response.headers, b"")
            content = await _read(response, _shown(url), asked)
            return Download(response.status_code, response.headers, content)


async def _read(response: httpx.Response, shown: str, asked: _Request) -> bytes:
    """The content, or nothing where a sink takes it."""
    content = bytearray()
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > asked.limit:
            raise DownloadTooLarge(f"{shown}: larger than {asked.limit} bytes", final=True)
        if asked.sink is not None and response.status_code == 200:
            await asked.sink(chunk)
        else:
            content += chunk
    return bytes(content)


def _shown(url: str) -> str:
    """The URL without what may be a secret in it: its query."""
    return url.partition("?")[0]
