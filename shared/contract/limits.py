"""Sizes, counts and rates that the control plane, the relay and the agents agree on."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

KIB: Final = 1024

REGISTER_BODY_BYTES: Final = 16 * KIB
DESIRED_BODY_BYTES: Final = 256 * KIB
STATUS_BODY_BYTES: Final = 256 * KIB
OTHER_BODY_BYTES: Final = 64 * KIB
IMPORT_BODY_BYTES: Final = 1024 * KIB
JSON_DEPTH: Final = 64
GRPC_MESSAGE_BYTES: Final = 1024 * KIB
INVENTORY_BYTES: Final = 16 * 1024 * KIB
INVENTORY_CHUNK_BYTES: Final = 256 * KIB
STREAMS_PER_CONNECTION: Final = 16

STATUS_EVENTS_PER_BATCH: Final = 200
DIFFERENCES_PER_REPORT: Final = 100
RECORDS_PER_IMPORT: Final = 500
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 500
EXTENSIONS_PER_CLUSTER: Final = 200
STAGES_PER_ROLLOUT: Final = 32
WINDOWS_PER_ROLLOUT: Final = 16
FREEZES_PER_TENANT: Final = 100
WEEKLY_TIMES_PER_FREEZE: Final = 16
EXTENSIONS_PER_FREEZE: Final = 200
FREEZE_OVERRIDE_MAX: Final = timedelta(hours=24)

BOOTSTRAP_TOKEN_LIFETIME: Final = timedelta(minutes=30)
BOOTSTRAP_TOKEN_LIFETIME_MAX: Final = timedelta(hours=24)
REGISTER_REPEAT_WINDOW: Final = timedelta(minutes=10)
APPROVAL_WINDOW = timedelta(days=1)
"""An admin decides within it, and the agent asks again within it after that."""
APPROVAL_RETRY_SECONDS = 30.0
"""How long an agent waits before it asks again whether it was approved."""
AGENT_ASSERTION_LIFETIME_MAX: Final = timedelta(minutes=5)
HEARTBEAT: Final = timedelta(seconds=30)
OFFLINE_AFTER_INTERVALS: Final = 5
DESIRED_POLL: Final = timedelta(seconds=60)
CLOCK_SKEW_ALLOWED: Final = timedelta(seconds=60)
IDEMPOTENCY_KEPT: Final = timedelta(hours=24)

REGISTER_PER_ADDRESS: Final = (1.0, 10)
"""Rate per second and burst; the same shape below."""
PUBLISH_PER_TENANT: Final = (10.0, 50)
FORESEE_PER_TENANT: Final = (0.5, 30)
"""Plans and simulations: one of 10,000 clusters takes about a second of CPU."""
STATUS_PER_CLUSTER: Final = (5.0, 100)

CLUSTERS_PER_TENANT: Final = 10_000
EXTENSIONS_PER_TENANT: Final = 1_000
PUBLISHES_PER_HOUR: Final = 1_000
"""Quotas of a tenant for which nothing else is set."""
