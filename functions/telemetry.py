"""This worker's logs and traces: set up once, when the first call comes.

Not at import: a cold start should not pay for exporters before it can answer, and whoever imports
the app to read its Functions (the OpenAPI document, a test) wants neither.
"""

from __future__ import annotations

import os
from functools import cache

from shared.telemetry.logs import configure_logging
from shared.telemetry.tracing import configure_tracing

SERVICE = "control-plane"
HOSTED = "FUNCTIONS_WORKER_RUNTIME"
"""Set by every Functions host."""


@cache
def start() -> None:
    """Write JSON logs where a host runs us, and export traces where the environment says to."""
    if os.environ.get(HOSTED):
        configure_logging(SERVICE, level=os.environ.get("ARCBRIDGE_LOG_LEVEL", "INFO"))
    # Flushed at exit by OpenTelemetry itself.
    configure_tracing(SERVICE, instance=os.environ.get("WEBSITE_INSTANCE_ID"))
