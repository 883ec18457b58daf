"""Contexts: which server, and how to log in there.

One YAML file, `~/.config/arcbridge/config.yaml` or the one that ARCBRIDGE_CONFIG names. It holds no
secret: tokens are in a file of their own (`login.cache`). ARCBRIDGE_SERVER, ARCBRIDGE_CONTEXT and
ARCBRIDGE_TOKEN take the place of what is configured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from arcbridge.cli.exits import CommandError, Exit

CONFIG = "ARCBRIDGE_CONFIG"
CONTEXT = "ARCBRIDGE_CONTEXT"
SERVER = "ARCBRIDGE_SERVER"
TOKEN = "ARCBRIDGE_TOKEN"  # noqa: S105 - the name of a variable
CA_FILE = "ARCBRIDGE_CA_FILE"
DEFAULT_CLIENT = "arcbridge-cli"


class AzureWith(StrEnum):
    """Where azure-identity takes a token from."""

    ANY = "any"
    """The first that works, in the order that azure-identity documents."""
    CLI = "cli"
    """Whoever is logged in with `az login`."""
    ENVIRONMENT = "environment"
    """AZURE_CLIENT_ID, AZURE_TENANT_ID and a secret or certificate."""
    MANAGED_IDENTITY = "managed-identity"
    """The machine's; AZURE_CLIENT_ID names one of several."""
    WORKLOAD_IDENTITY = "workload-identity"
    """A federated token: pods of AKS, pipelines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One server, and how to get a token for it."""

    name: str = "default"
    server: str
    issuer: str | None = None
    """OpenID provider; None with `azure`."""
    client_id: str = DEFAULT_CLIENT
    scope: str = "openid offline_access"
    azure: bool = False
    """Take tokens from azure-identity: the Azure CLI's login, a workload or managed identity."""
    azure_with: AzureWith = AzureWith.ANY
    """Which of them."""
    ca_file: str | None = None
    """PEM of the authorities to trust for the server, instead of the system's."""


@dataclass(frozen=True, slots=True)
class Config:
    """The file's content."""

    path: Path
    current: str | None = None
    contexts: Mapping[str, Context] = field(default_factory=dict)

    def put(self, context: Context) -> Config:
        """With this context, as the current one."""
        contexts = {**self.contexts, context.name: context}
        return replace(self, current=context.name, contexts=contexts)


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the file is."""
    if environ.get(CONFIG):
        return Path(environ[CONFIG]).expanduser()
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "arcbridge" / "config.yaml"


def load(path: Path) -> Config:
    """Read the file; one that does not exist is empty. Raises CommandError for a broken one."""
    from shared.contract.yaml_text import YamlRefused, read_documents

    try:
        documents = read_documents(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config(path)
    except (OSError, UnicodeDecodeError, YamlRefused) as error:
        raise CommandError(Exit.USAGE, f"{path} cannot be read: {error}") from error
    content = documents[0] if documents else {}
    try:
        return _parsed(path, content)
    except (AttributeError, TypeError, ValueError) as error:
        raise CommandError(
            Exit.USAGE, f"{path} is not a configuration: {error}", remedy="run: arcbridge login"
        ) from error


def _parsed(path: Path, content: Any) -> Config:
    if not isinstance(content, dict) or not isinstance(content.get("contexts", {}), dict):
        raise TypeError("contexts must be a mapping of names to contexts")
    contexts = {
        name: Context(
            name=name, **{_snake(key): _read(key, value) for key, value in fields.items()}
        )
        for name, fields in content.get("contexts", {}).items()
    }
    return Config(path, content.get("currentContext"), contexts)


def save(config: Config) -> None:
    """Write the file; it appears whole or not at all."""
    import yaml

    contexts = {name: _written(context) for name, context in sorted(config.contexts.items())}
    text = yaml.safe_dump({"currentContext": config.current, "contexts": contexts}, sort_keys=False)
    config.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = config.path.with_name(f"{config.path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(config.path)


def choose(
    config: Config, *, name: str | None, server: str | None, environ: Mapping[str, str] = os.environ
) -> Context:
    """The context that options, environment and file ask for, in this order."""
    name = name or environ.get(CONTEXT) or None
    server = server or environ.get(SERVER) or None
    wanted = name or config.current
    found = config.contexts.get(wanted) if wanted else None
    if name and found is None:
        known = ", ".join(sorted(config.contexts)) or "none"
        raise CommandError(Exit.USAGE, f"there is no context {name!r}; known: {known}")
    if found is None and server is None:
        raise CommandError(
            Exit.USAGE,
            "no server is known",
            remedy="run: arcbridge login --server https://…, or set ARCBRIDGE_SERVER",
        )
    if found is None:
        return Context(server=server or "", ca_file=environ.get(CA_FILE) or None)
    return replace(
        found,
        server=server or found.server,
        ca_file=environ.get(CA_FILE) or found.ca_file,
    )


def _read(key: str, value: Any) -> Any:
    return AzureWith(value) if key == "azureWith" else value


def _written(context: Context) -> dict[str, Any]:
    defaults = asdict(Context(name=context.name, server=context.server))
    return {
        _camel(key): str(value) if isinstance(value, AzureWith) else value
        for key, value in asdict(context).items()
        if key == "server" or (key != "name" and value != defaults[key])
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _snake(name: str) -> str:
    return "".join(f"_{ch.lower()}" if ch.isupper() else ch for ch in name)
