"""Reads a kubeconfig: the current context's cluster and user.

Tokens, token files, client certificates, passwords and credential plugins are known. The
`auth-provider` entries that Kubernetes has replaced by plugins are refused by name.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agent.errors import KubeUnreachable
from agent.kube.access import ClusterAccess, tls_context
from agent.kube.credentials import Anonymous, Credential, Fixed, Plugin, TokenFile
from agent.proxies import proxy_for

Entry = dict[str, Any]


def read_kubeconfig(path: Path, environ: Mapping[str, str]) -> ClusterAccess:
    """The access that a kubeconfig describes. Raises KubeUnreachable that says what is wrong."""
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it is not a kubeconfig")  # noqa: TRY004 - one way out for all
        cluster, user = _current(content)
        server = str(cluster["server"]).rstrip("/")
        return ClusterAccess(
            host=server,
            tls=_tls(cluster, user, path.parent) if server.startswith("https:") else None,
            proxy=cluster.get("proxy-url") or proxy_for(server, environ),
            server_name=cluster.get("tls-server-name"),
            credential=_credential(user, path.parent),
        )
    except (OSError, ValueError, KeyError, binascii.Error, yaml.YAMLError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise KubeUnreachable(f"no usable cluster access in {path}: {problem}") from error


def _current(content: Entry) -> tuple[Entry, Entry]:
    name = content.get("current-context")
    if not name:
        raise ValueError("no current-context is set")
    context = _named(content, "context", str(name))
    cluster = _named(content, "cluster", str(context.get("cluster", "")))
    user = context.get("user")
    return cluster, _named(content, "user", str(user)) if user else {}


def _named(content: Entry, kind: str, name: str) -> Entry:
    for entry in content.get(f"{kind}s") or ():
        if entry.get("name") == name:
            return entry.get(kind) or {}
    raise ValueError(f"there is no {kind} named {name!r}")


def _text(entry: Entry, key: str, directory: Path) -> str | None:
    """A value given as `KEY-data`, or in a file beside the kubeconfig."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(str(data), validate=True).decode()
    return (directory / str(entry[key])).read_text() if entry.get(key) else None


def _tls(cluster: Entry, user: Entry, directory: Path) -> ssl.SSLContext:
    context = tls_context(
        _text(cluster, "certificate-authority", directory),
        verify=not cluster.get("insecure-skip-tls-verify"),
    )
    certificate = _text(user, "client-certificate", directory)
    key = _text(user, "client-key", directory)
    if certificate and key:
        _load_pair(context, certificate, key)
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL reads a key from files only: one that nobody else may read, and that goes at once."""
    descriptor, name = tempfile.mkstemp(prefix="client-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{certificate.rstrip()}\n{key}")
        context.load_cert_chain(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _credential(user: Entry, directory: Path) -> Credential:
    if user.get("auth-provider"):
        raise ValueError("auth-provider is not supported: use a credential plugin (exec)")
    if plugin := user.get("exec"):
        return _plugin(plugin, directory)
    if file := user.get("tokenFile"):
        return TokenFile(directory / str(file))
    if token := user.get("token"):
        return Fixed(f"Bearer {token}")
    if user.get("username"):
        return Fixed.basic(str(user["username"]), str(user.get("password", "")))
    return Anonymous()


def _plugin(plugin: Entry, directory: Path) -> Plugin:
    command = str(plugin["command"])
    if os.sep in command:  # as kubectl does: a path is relative to the kubeconfig
        command = str(directory / command)
    given = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()}
    arguments = (str(argument) for argument in plugin.get("args") or ())
    return Plugin((command, *arguments), given, str(plugin["apiVersion"]))
