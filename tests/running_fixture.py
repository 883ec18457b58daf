"""The fixture for tests that speak HTTP; imported by the conftest of each folder that has some."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from dev.backends import Backends
from tests.conftest import APP_LOGIN, APP_PASSWORD, new_database, with_login
from tests.running import RunningControlPlane, control_plane_processes


@pytest.fixture(scope="module")
def running(
    servers: Backends, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningControlPlane]:
    """The app in the development host, for the tests of one module."""
    with new_database(servers.postgres_url, migrated_template) as owner_url:
        with Redis.from_url(servers.redis_url, socket_timeout=10) as client:
            client.flushdb()
        with control_plane_processes(
            postgres_url=with_login(owner_url, APP_LOGIN, APP_PASSWORD),
            owner_postgres_url=owner_url,
            redis_url=servers.redis_url,
            state=tmp_path_factory.mktemp("control-plane"),
        ) as control_plane:
            yield control_plane
