"""Takes secrets out of what is about to be logged.

The rule for callers is not to log secrets at all. This is the second line: by the name of a field,
and by the shape of a text (bearer tokens, JWTs, passwords in URLs, PEM private keys), at any depth.
It cannot know a secret without a telling name or shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

REDACTED = "[redacted]"
MAX_DEPTH = 8
MAX_ITEMS = 100
MAX_TEXT_CHARACTERS = 8192

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|token|authorization|cookie|assertion|credential"
    r"|private_?key|api_?key|function_?key|connection_?string)s?$"
)
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S
        ),
        REDACTED,
    ),
)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name (snake, kebab or camel case) holds a secret.

    `token` and `bootstrapToken` do; `token_id` and `tokens_left` do not.
    """
    snake = _CAMEL_HUMP.sub("_", name).replace("-", "_").lower()
    return _SECRET_NAME.search(snake) is not None


def redact_text(text: str) -> str:
    """`text` without what is shaped like a secret, cut to 8,192 characters."""
    if len(text) > MAX_TEXT_CHARACTERS:
        text = f"{text[:MAX_TEXT_CHARACTERS]}… ({len(text)} characters)"
    for shape, replacement in _SECRET_SHAPES:
        text = shape.sub(replacement, text)
    return text


def redact(value: object, *, name: str = "", depth: int = 0) -> object:
    """A copy of `value` fit for a log: bounded in depth and size, without secrets.

    Numbers, booleans and None pass even under a secret's name: a count of tokens is no token.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if is_secret_name(name):
        return REDACTED
    if depth >= MAX_DEPTH:
        return "[deeper]"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:MAX_ITEMS]
        return {str(key): redact(item, name=str(key), depth=depth + 1) for key, item in pairs}
    if isinstance(value, bytes | bytearray):
        return f"[{len(value)} bytes]"
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [redact(item, depth=depth + 1) for item in list(value)[:MAX_ITEMS]]
    return redact_text(str(value))
