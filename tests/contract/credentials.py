"""Schemathesis loads this: each request gets the credential that the environment describes.

A person's token is the same for all requests; an agent signs a new assertion for each.
"""

from __future__ import annotations

import json
import os

import schemathesis
from schemathesis.core.media_types import YAML_MEDIA_TYPES

from tests.joined_cluster import JoinedCluster

TOKEN = "TEST_TOKEN"
AGENT = "TEST_AGENT"


@schemathesis.auth(refresh_interval=None)
class Credential:
    """Puts the Authorization header in."""

    def get(self, case: schemathesis.Case, ctx: schemathesis.AuthContext) -> dict[str, str]:
        del case, ctx
        if AGENT in os.environ:
            return JoinedCluster(**json.loads(os.environ[AGENT])).bearer()
        return {"Authorization": f"Bearer {os.environ[TOKEN]}"}

    def set(
        self, case: schemathesis.Case, data: dict[str, str], ctx: schemathesis.AuthContext
    ) -> None:
        del ctx
        case.headers = {**(case.headers or {}), **data}


@schemathesis.deserializer(*YAML_MEDIA_TYPES)
def as_text(context: schemathesis.DeserializationContext, response: schemathesis.Response) -> str:
    """A manifest is a stream of several documents (RFC 9512); Schemathesis reads one only."""
    del context
    return response.content.decode()
