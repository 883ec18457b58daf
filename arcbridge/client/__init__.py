"""The client library: every call of the operators' API, typed, with retries and deadlines.

from arcbridge.client import Client

with Client("https://arcbridge.example.org", token=lambda: "…") as client:
    for cluster in client.clusters.list(labels="env=prod"):
        print(cluster.name, cluster.state)
"""

from __future__ import annotations

from arcbridge.client.api import Client
from arcbridge.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    Denied,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
    Unintelligible,
    Unreachable,
)
from arcbridge.client.transport import Limits

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "Conflict",
    "Denied",
    "Invalid",
    "Limits",
    "Misconfigured",
    "NotFound",
    "Unavailable",
    "Unintelligible",
    "Unreachable",
]
