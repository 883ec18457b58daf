"""The Functions app: registers the blueprints of `functions/`, and nothing else.

Host keys guard nothing here (ANONYMOUS): every Function checks the caller's own credential.
"""

from __future__ import annotations

import azure.functions as func

from functions.registry import RESOURCES, TIMERS

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in (*RESOURCES, *TIMERS):
    app.register_functions(blueprint)
