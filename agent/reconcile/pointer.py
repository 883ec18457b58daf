"""RFC 6901 JSON pointers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Token = str | int
"""A key of an object, or an index of a list."""


def pointer(tokens: Sequence[Token]) -> str:
    """`["spec", "a/b", 0]` becomes `/spec/a~1b/0`; nothing becomes the empty string."""
    return "".join("/" + str(t).replace("~", "~0").replace("/", "~1") for t in tokens)


def parse_pointer(text: str) -> tuple[str, ...]:
    """The tokens of a pointer, as text. Raises ValueError for what is not one."""
    if not text:
        return ()
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not a JSON pointer: it has to start with '/'")
    return tuple(t.replace("~1", "/").replace("~0", "~") for t in text[1:].split("/"))


def resolve(document: Any, tokens: Sequence[Token]) -> Any:
    """What stands there. Raises KeyError when nothing does."""
    value = document
    for token in tokens:
        if isinstance(value, list) and str(token).isdigit() and int(token) < len(value):
            value = value[int(token)]
        elif isinstance(value, dict) and str(token) in value:
            value = value[str(token)]
        else:
            raise KeyError(pointer(tokens))
    return value


def covers(rule: str, path: str) -> bool:
    """True when `rule` names `path` or something above it.

    A token `*` in a rule stands for any one key or index, so `/spec/containers/*/image` covers
    every container's image.
    """
    rule_tokens, path_tokens = parse_pointer(rule), parse_pointer(path)
    if len(rule_tokens) > len(path_tokens):
        return False
    return all(r in ("*", p) for r, p in zip(rule_tokens, path_tokens, strict=False))
