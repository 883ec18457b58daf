"""The relay's settings: typed, read once from the environment, the unit in each name.

What is part of the contract (message sizes, streams per connection) is in `shared.contract.limits`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.contract import limits
from shared.settings import read, seconds_between, setting, trust_domain_name, url_of


def whole_between(least: int, most: int) -> Callable[[str], int]:
    """A parser for whole numbers within bounds."""
    return seconds_between(least, most)


def number_between(least: float, most: float) -> Callable[[str], float]:
    """A parser for numbers within bounds."""

    def parse(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def names(text: str) -> tuple[str, ...]:
    """Host names or addresses separated by commas; at least one."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise ValueError(text)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """The settings of one relay process."""

    postgres_url: str = setting(
        url_of("postgresql", "postgres"),
        "the database's URL, such as postgresql://user@host:5432/arcbridge",
        secret=True,
    )
    """libpq URL; the role owns nothing."""

    redis_url: str = setting(
        url_of("rediss", "redis", "unix"),
        "Redis's URL, such as rediss://host:10000/0",
        secret=True,
    )
    """Where heartbeats and wake-ups pass."""

    trust_domain: str = setting(
        trust_domain_name,
        "a SPIFFE trust domain, such as arcbridge.example.org",
        default="arcbridge.local",
    )
    """The authority of the URI in the agents' certificates."""

    ca_dir: Path | None = setting(
        Path, "a folder with the development CA's key and certificates", default=None
    )
    """Folder of the file-based CA; for development only, a Key Vault key signs otherwise."""

    ca_key_id: str | None = setting(
        url_of("https"),
        "the issuing key's id, such as https://<vault>.vault.azure.net/keys/issuing/<version>",
        default=None,
    )
    """The issuing CA's key in Key Vault."""

    ca_chain: str | None = setting(
        str,
        "the PEM of the issuing CA's certificate, then of the roots, or a path to it",
        default=None,
    )
    """The certificates that go with the key in Key Vault."""

    certificate_hours: float = setting(
        number_between(0.02, 720), "hours from 1 to 720, less with a CA in a folder", default=168.0
    )
    """Lifetime of the certificates that are issued here; as the control plane's."""

    relay_bind: str = setting(str, "an address such as 0.0.0.0", default="127.0.0.1")
    """The address both ports listen on."""

    relay_port: int = setting(whole_between(0, 65535), "a port", default=8443)
    """Where agents connect; 0 for any."""

    relay_http_port: int = setting(whole_between(0, 65535), "a port", default=8444)
    """Health and metrics, without TLS: not for the internet; 0 for any."""

    relay_ready_file: Path | None = setting(Path, "a path", default=None)
    """Written once the ports listen: JSON with `port`, `httpPort` and `pid`."""

    relay_host_names: tuple[str, ...] = setting(
        names, "host names separated by commas, such as relay.example.org", default=("localhost",)
    )
    """Subject alternative names of the relay's certificate."""

    relay_id: str = setting(str, "a name", default="")
    """Name of this replica in sessions and logs; by default host name and process id."""

    heartbeat_seconds: int = setting(
        seconds_between(1, 3600),
        "whole seconds from 1 to 3600",
        default=int(limits.HEARTBEAT.total_seconds()),
    )
    """How often agents are told to send a heartbeat."""

    relay_connections: int = setting(
        whole_between(1, 200_000), "a number of connections", default=12_000
    )
    """TCP connections at one time; more are refused at once."""

    hello_seconds: float = setting(number_between(0.1, 60), "seconds", default=5.0)
    """How long a new stream may take to say Hello."""

    admission_queue: int = setting(whole_between(1, 100_000), "a number of streams", default=2_000)
    """Streams that may wait for their epoch; the next is told when to come back."""

    admission_seconds: float = setting(number_between(0.1, 60), "seconds", default=10.0)
    """How long a stream may wait for its epoch."""

    stream_age_seconds: float = setting(number_between(1, 86_400), "seconds", default=1_800.0)
    """A stream is drained at this age, give or take a tenth, so that the fleet stays spread."""

    drain_seconds: float = setting(number_between(0, 3_600), "seconds", default=120.0)
    """Spread of the reconnects that a relay asks for when it goes away, and how long it waits."""

    send_seconds: float = setting(number_between(0.1, 60), "seconds", default=15.0)
    """A stream that takes no message for this long is closed."""

    flush_seconds: float = setting(number_between(0.05, 60), "seconds", default=1.0)
    """Heartbeats are handed on this often."""

    fencing_seconds: float = setting(number_between(0.1, 4), "seconds, 4 at most", default=3.0)
    """Revocations are looked up in Postgres this often; Redis only makes it sooner."""

    trust_seconds: float = setting(number_between(0.1, 10), "seconds, 10 at most", default=5.0)
    """How often the relay looks which CAs are trusted, and says which it takes."""

    wake_spread_seconds: float = setting(number_between(0, 600), "seconds", default=20.0)
    """After Redis was away every stream is told to look, spread over this time."""

    outbox_seconds: float = setting(number_between(0.1, 60), "seconds", default=2.0)
    """The outbox is drained this often, beside whoever writes to it."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings. Raises SettingsError with every variable that is wrong."""
        return read(cls, environ)

    @property
    def name(self) -> str:
        """The replica's name: the one that was set, or host name and process id."""
        return self.relay_id or f"{socket.gethostname()}-{os.getpid()}"
