"""Runs one tool: an argument list and never a shell, a deadline always, nothing left behind.

The tool gets a process group of its own, an environment made of named variables only, and no
standard input. When it does not end in time, or whoever waits for it is cancelled, the group is
killed: a tool that is half-way is the next reconcile's business, and that expects it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.drivers.tether import tethered
from agent.errors import ToolError, ToolTimedOut

OUTPUT_LIMIT = 24 * 1024 * 1024
"""Bytes of standard output; a manifest larger than this is refused."""
ERROR_LIMIT = 64 * 1024
"""Bytes of standard error that are kept, its end."""
MESSAGE_LIMIT = 1600
"""Characters of a tool's complaint that travel on."""

_PASSED_ON = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "LANG",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_SECRETS = (
    re.compile(r"(?i)(authorization:\s*(?:bearer|basic)\s+)\S+"),
    re.compile(
        r"(?i)((?:password|passwd|token|secret|api[-_]?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;]+"
    ),
    re.compile(r"(://[^/\s:@]+:)[^@\s/]+(?=@)"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    re.compile(
        r"()-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    ),
)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Finished:
    """What a tool that ended well printed."""

    stdout: bytes
    stderr: str


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a tool: proxies, trust and where the cluster is, and `own`."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(own)


def scrub(text: str, secrets: Sequence[str] = ()) -> str:
    """A tool's words without control characters and what looks like, or is known as, a secret."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    for pattern in _SECRETS:
        text = pattern.sub(r"\g<1>***", text)
    return _CONTROL.sub("", text)


def shortened(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text, or its beginning and its end where it is too long."""
    text = text.strip()
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


async def run_tool(
    binary: Path,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline_seconds: float,
    secrets: Sequence[str] = (),
) -> Finished:
    """Run `binary` and wait for its end.

    Raises ToolError when it cannot be started, exits with another status than 0 or prints more
    than OUTPUT_LIMIT; ToolTimedOut when the deadline passes. Either way no child of it lives on.
    """
    name = binary.name
    try:
        process = await asyncio.create_subprocess_exec(
            *tethered(binary, arguments),
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{name} cannot be started: {error}") from error
    try:
        async with asyncio.timeout(deadline_seconds):
            stdout, stderr = await _communicate(process, name)
    except TimeoutError as error:
        raise ToolTimedOut(f"{name} did not end within {deadline_seconds:g} s") from error
    finally:
        await _end_group(process)
    words = scrub(stderr.decode(errors="replace"), secrets)
    if process.returncode != 0:
        raise ToolError(
            shortened(words) or f"{name} ended with status {process.returncode}",
            exit_code=process.returncode,
            output=words,
        )
    return Finished(stdout, words)


async def _communicate(process: asyncio.subprocess.Process, name: str) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101 - both are pipes, see run_tool
    assert process.stderr is not None  # noqa: S101 - as above
    # No TaskGroup: in early releases of Python 3.11 one whose child fails can leave its parent
    # cancelled, and so end the worker that waits for the tool.
    readers = (
        asyncio.create_task(_read_all(process.stdout, OUTPUT_LIMIT)),
        asyncio.create_task(_read_end(process.stderr, ERROR_LIMIT)),
    )
    try:
        out, err = await asyncio.gather(*readers)
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    if out is None:
        raise ToolError(f"{name} printed more than {OUTPUT_LIMIT} bytes")
    await process.wait()
    return out, err


async def _read_all(stream: asyncio.StreamReader, limit: int) -> bytes | None:
    """Everything, or None once it is more than `limit`."""
    parts, size = [], 0
    while chunk := await stream.read(64 * 1024):
        size += len(chunk)
        if size > limit:
            return None
        parts.append(chunk)
    return b"".join(parts)


async def _read_end(stream: asyncio.StreamReader, limit: int) -> bytes:
    kept = b""
    while chunk := await stream.read(16 * 1024):
        kept = (kept + chunk)[-limit:]
    return kept


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Kill the tool and its children if it has not ended, then reap it.

    Shielded: a second cancellation must not leave the tool running.
    """
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())
