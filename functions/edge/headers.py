"""Request headers, typed: azure-functions gives them as `Any`."""

from __future__ import annotations

from azure.functions import HttpRequest


def header(req: HttpRequest, name: str) -> str | None:
    """A header's value, whatever the case of its name; None without one."""
    value = req.headers.get(name)
    return value if isinstance(value, str) else None
