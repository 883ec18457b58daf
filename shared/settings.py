"""The control plane's settings: typed, frozen, read once from the environment.

Every setting is one environment variable, `ARCBRIDGE_` and the field's name in capitals (an app
setting in Azure), and carries its unit in its name. `Settings.from_environ` finds everything that
is wrong at once and says how to mend it. The relay and the agent have settings of their own; sizes
and rates that are part of the contract are constants in `shared.contract.limits`, not settings.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from shared.contract import limits
from shared.contract.states import Role

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

PREFIX = "ARCBRIDGE_"
MAX_PORT = 65535
TENANT_ID_PLACEHOLDER = "{tid}"


class SettingsError(Exception):
    """Settings are missing or wrong; the text names each variable and what it should hold."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("settings cannot be used:\n" + "\n".join(f"  {line}" for line in problems))
        self.problems = tuple(problems)


def setting(
    parse: Callable[[str], object],
    expected: str,
    *,
    default: object = dataclasses.MISSING,
    secret: bool = False,
) -> Any:
    """A field read by `parse`, which raises ValueError; required unless it has a default.

    `expected` completes the sentence "must be ..." and ends with an example. A secret one is left
    out of the representation. Typed like `dataclasses.field`: what it stands for, not what it is.
    """
    metadata = {"parse": parse, "expected": expected}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def url_of(*schemes: str) -> Callable[[str], str]:
    """A parser for URLs with a host and one of the schemes; a trailing slash is dropped."""

    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.netloc:
            raise ValueError(text)
        return text.rstrip("/")

    return parse


def host_and_port(text: str) -> str:
    """`host:port`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= MAX_PORT:
        raise ValueError(text)
    return text


def issuer_template(text: str) -> str:
    """An issuer's https or http URL, kept to the letter because it is compared with `iss`."""
    url_of("https", "http")(text)
    return text


def tenant_map(text: str) -> Mapping[str, str]:
    """A JSON object of directory ids to ArcBridge tenants, with at least one entry."""
    found = json.loads(text)  # its JSONDecodeError is a ValueError
    if not isinstance(found, dict) or not found:
        raise ValueError(text)
    if not all(isinstance(tenant, str) and tenant for tenant in found.values()):
        raise ValueError(text)
    return MappingProxyType(found)


def group_map(text: str) -> Mapping[str, str]:
    """A JSON object of group ids to roles."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(text)  # noqa: TRY004 - what every parser here raises
    return MappingProxyType({group: Role(role).value for group, role in found.items()})


def hours_between(least: float, most: float) -> Callable[[str], float]:
    """A parser for hours within bounds, decimals allowed."""

    def parse(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def seconds_between(least: int, most: int) -> Callable[[str], int]:
    """A parser for whole seconds within bounds."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def trust_domain_name(text: str) -> str:
    """A SPIFFE trust domain: lower-case letters, digits, dots, dashes, underscores."""
    if not text or set(text) - set("abcdefghijklmnopqrstuvwxyz0123456789.-_"):
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the control plane."""

    postgres_url: str = setting(
        url_of("postgresql", "postgres"),
        "the database's URL, such as postgresql://user@host:5432/arcbridge",
        secret=True,
    )
    """libpq URL that the application connects with; its role owns nothing."""

    redis_url: str = setting(
        url_of("rediss", "redis", "unix"),
        "Redis's URL, such as rediss://host:10000/0",
        secret=True,
    )
    """Where heartbeats, wake-ups and token buckets are."""

    control_plane_url: str = setting(
        url_of("https", "http"),
        "the URL that agents and operators use, such as https://arcbridge.example.org",
    )
    """Public base URL, without `/api`; also the audience of the agents' assertions."""

    relay_address: str = setting(
        host_and_port, "the relay's host and port, such as relay.example.org:8443"
    )
    """Where agents open their stream."""

    oidc_issuer: str = setting(
        issuer_template,
        f"the trusted issuer, with {TENANT_ID_PLACEHOLDER} where the directory's id stands, such as"
        f" https://login.microsoftonline.com/{TENANT_ID_PLACEHOLDER}/v2.0",
    )
    """Issuer of people's and services' tokens; `{tid}` is replaced by the token's own `tid`."""

    oidc_audience: str = setting(
        str, "this application's id in the identity provider, such as api://arcbridge"
    )
    """The exact `aud` of an access token for ArcBridge."""

    oidc_tenants: Mapping[str, str] = setting(
        tenant_map,
        'a JSON object of directory ids to tenants, such as {"<directory id>": "demo"}',
    )
    """Allowlist of `tid`, each with the ArcBridge tenant that its users belong to."""

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
        "a key's URL in Key Vault, such as https://vault.vault.azure.net/keys/issuing/0123",
        default=None,
    )
    """The issuing CA's key, which signs inside Key Vault and never leaves it."""

    ca_chain: str | None = setting(
        str,
        "the PEM of the issuing CA's certificate, then of the roots, or a path to it",
        default=None,
    )
    """What certificates chain to; needed beside `ca_key_id`. The PEM itself is what an app setting
    that refers to a Key Vault secret holds."""

    certificate_hours: float = setting(
        hours_between(0.02, 720), "hours from 1 to 720, less with a CA in a folder", default=168.0
    )
    """How long an agent's certificate lasts; it is renewed at half of that."""

    oidc_groups: Mapping[str, str] | None = setting(
        group_map,
        'a JSON object of directory groups\' ids to roles, such as {"<group id>": "operator"}',
        default=None,
    )
    """Roles given by membership in a group of the directory, beside the app roles of the token."""

    heartbeat_seconds: int = setting(
        seconds_between(1, 3600),
        "whole seconds from 1 to 3600",
        default=int(limits.HEARTBEAT.total_seconds()),
    )
    """How often agents are told to send a heartbeat."""

    agent_image: str = setting(
        str,
        "the agent's container image, by digest, such as registry.example.org/agent@sha256:...",
        default="arcbridge/agent:0.1.0",
    )
    """What the manifest that connects a cluster runs; a deployment names it by digest."""

    poll_seconds: int = setting(
        seconds_between(1, 3600),
        "whole seconds from 1 to 3600",
        default=int(limits.DESIRED_POLL.total_seconds()),
    )
    """How often agents fetch their desired document without a wake-up."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings; an empty variable counts as unset.

        Raises SettingsError with every variable that is missing or wrong. The wrong value itself
        is not repeated: it may be a secret.
        """
        return read(cls, environ)


def read(cls: type[T], environ: Mapping[str, str]) -> T:
    """Settings of any program: a dataclass whose fields were made by `setting`.

    Raises SettingsError with every variable that is missing or wrong.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    for each in dataclasses.fields(cls):
        name, expected = variable(each.name), each.metadata["expected"]
        text = environ.get(name, "").strip()
        if text:
            try:
                values[each.name] = each.metadata["parse"](text)
            except ValueError:
                problems.append(f"{name} must be {expected}")
        elif each.default is dataclasses.MISSING:
            problems.append(f"{name} is not set: it must be {expected}")
    if problems:
        raise SettingsError(problems)
    return cls(**values)


def variable(field_name: str) -> str:
    """The environment variable of a field."""
    return f"{PREFIX}{field_name.upper()}"
