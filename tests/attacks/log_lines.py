"""Attacks on the logs: a name must not make a line of its own, or colour a terminal."""

from __future__ import annotations

import json

from tests.attacks.attack import held, row
from tests.attacks.target import Target

NASTY = 'x\r\n{"event": "forged"}\x1b[31m\u2028\u0085'


@row(
    "logs",
    "CR, LF, ANSI and line separators in names, labels, reasons, headers",
    expected="refused or escaped",
)
async def control_characters(target: Target) -> str:
    statuses = {}
    cluster = await target.enrolled("attack-lines")
    report = {"sessionEpoch": 0, "events": [{"id": NASTY}]}
    answer = await target.ask("POST", "status", who=None, headers=cluster.bearer(), json=report)
    statuses["report"] = answer.status_code
    for why, path, body in (
        ("name", "bootstrap-tokens", {"clusterName": NASTY}),
        ("label", "bootstrap-tokens", {"labels": {"a": NASTY}}),
        ("reason", "clusters/attack-lines/revoke", {"reason": NASTY}),
    ):
        statuses[why] = (await target.ask("POST", path, json=body)).status_code
    answer = await target.ask("GET", "clusters", params={"text": NASTY})
    statuses["filter"] = answer.status_code
    # A control character in a header ends in the server's parser; what gets through is text.
    headers = {
        "X-Request-Id": "a b;c",
        "traceparent": "00-zz-{}",
        "User-Agent": '{"event": "forged"}',
    }
    answer = await target.ask("GET", "clusters", headers=headers)
    statuses["headers"] = answer.status_code
    held(answer.headers["X-Request-Id"].isalnum(), f"request id {answer.headers['X-Request-Id']!r}")
    flaws = [
        f"{program}: {line[:80]!r}"
        for program, text in target.logs().items()
        for line in text.split("\n")
        if not is_clean(line)
    ]
    size = sum(map(len, target.logs().values()))
    seen = f"{statuses}; {size} characters of logs, {len(flaws)} bad lines"
    held(not flaws, f"{seen}: {flaws[:3]}")
    held(statuses["name"] == statuses["label"] == statuses["report"] == 400, seen)
    return seen


def is_clean(line: str) -> bool:
    """Whether a line is one JSON object of ours, or a plain one of a program's start."""
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in line):
        return False
    if not line.startswith("{"):
        return "forged" not in line
    return json.loads(line).get("event") != "forged"
