"""A small function app that shows what the local host hands to functions."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
LOG = Path(os.environ.get("SAMPLE_LOG", "/dev/null"))


def note(line: str) -> None:
    with LOG.open("a") as file:
        file.write(f"{line}\n")


@app.route(route="v1/echo/{name}", methods=["POST"])
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    content = {
        "method": req.method,
        "name": req.route_params["name"],
        "query": dict(req.params),
        "header": req.headers.get("X-Twice"),
        "body": req.get_body().decode(),
        "traceparent": context.trace_context.trace_parent,
        "function": context.function_name,
        "mainThread": threading.current_thread() is threading.main_thread(),
    }
    return func.HttpResponse(
        json.dumps(content), status_code=201, mimetype="application/json", headers={"X-A": "b"}
    )


@app.route(route="v1/echo/known", methods=["GET"])
def known(req: func.HttpRequest) -> str:
    return "main" if threading.current_thread() is threading.main_thread() else "thread"


@app.route(route="items/{id:guid}")
async def item(req: func.HttpRequest) -> None:
    return None


@app.route(route="forwarded", methods=["GET"])
async def forwarded(req: func.HttpRequest) -> str:
    return req.headers["X-Forwarded-For"]


@app.route(route="fails", methods=["GET"])
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("c4n4ry")


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params.get("seconds", "60")))
    return func.HttpResponse("done")


@app.route(route="cookies", methods=["GET"])
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("x")
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2")
    return response


@app.route(route="keyed", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def keyed(req: func.HttpRequest) -> str:
    return "opened"


@app.timer_trigger(arg_name="timer", schedule="%SAMPLE_SCHEDULE%")
async def ticking(timer: func.TimerRequest) -> None:
    note(f"ticking {time.monotonic()} start")
    await asyncio.sleep(1.2)
    note(f"ticking {time.monotonic()} end")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", run_on_startup=True)
def daily(timer: func.TimerRequest) -> None:
    note(f"daily past_due={timer.past_due}")


@app.timer_trigger(arg_name="timer", schedule="0 0 4 * * *")
async def by_hand(timer: func.TimerRequest) -> None:
    note(f"by_hand past_due={timer.past_due}")
