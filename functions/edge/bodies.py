"""Request bodies: from bytes to checked JSON, before any model sees them.

Order matters: size, then encoding, then content type, then nesting (counted on the bytes, because a
parser that recurses has lost already), then the text itself. Compressed bodies are refused: a small
one can stand for a large one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from functions.edge.field_errors import one
from shared.contract.errors import ErrorCode
from shared.contract.limits import JSON_DEPTH, KIB
from shared.contract.violations import path_text
from shared.contract.yaml_text import YamlRefused, read_document
from shared.domain.errors import ArcBridgeError

JSON = "application/json"
YAML = "application/yaml"
MERGE_PATCH = "application/merge-patch+json"
_YAML_NAMES = frozenset({YAML, "application/x-yaml", "text/yaml"})
# Strings are stepped over whole, so that brackets inside them do not count.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]')
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_size(body: bytes, limit: int) -> None:
    """Refuse a body over its limit, in bytes, before anything reads it."""
    if len(body) > limit:
        raise ArcBridgeError(
            ErrorCode.TOO_LARGE,
            f"The body has {len(body)} bytes; {limit} ({limit // KIB} KiB) are the limit here.",
        )


def media_type(header: str | None) -> str:
    """The type of a Content-Type header, without parameters, in lower case."""
    return (header or "").partition(";")[0].strip().lower()


def check_encoding(content_encoding: str | None) -> None:
    """Only bodies as they are."""
    if content_encoding and content_encoding.strip().lower() != "identity":
        raise ArcBridgeError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            "Compressed bodies are not read: send the body without Content-Encoding.",
        )


def to_json_bytes(body: bytes, content_type: str | None, accepted: Iterable[str]) -> bytes:
    """The checked JSON text of a body; YAML is turned into JSON where it is accepted."""
    accepted = tuple(accepted)
    kind = media_type(content_type)
    kind = YAML if kind in _YAML_NAMES else kind
    if kind not in accepted:
        raise ArcBridgeError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be {' or '.join(accepted)}.",
        )
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise one("body", "is not UTF-8 text", "send UTF-8") from error
    if kind == YAML:
        value = _from_yaml(text)
    else:
        check_depth(body)
        value = _from_json(text)
    check_text(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def check_depth(body: bytes, limit: int = JSON_DEPTH) -> None:
    """Refuse JSON nested deeper than `limit`; linear, without recursion."""
    depth = 0
    for match in _STRUCTURE.finditer(body):
        token = match.group()
        if token in b"[{":
            depth += 1
            if depth > limit:
                raise one("body", f"is nested more than {limit} deep", "flatten it")
        elif token in b"]}":
            depth -= 1


def _from_json(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise one(
            "body", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:  # an integer of thousands of digits, too
        raise one("body", "holds a number or a key that cannot be read") from error


def _from_yaml(text: str) -> Any:
    try:
        return read_document(text)
    except YamlRefused as error:
        raise one("body", str(error)) from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise one("body", f"the key {twice[:64]!r} occurs twice in one object", "keep one")
    return found


def _no_constant(name: str) -> float:
    raise one("body", f"{name} is not JSON", "send a finite number or null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise one("body", "holds a number that is too large", "send a finite number")
    return number


def check_text(value: Any, where: str = "body") -> None:
    """Refuse NUL and lone surrogates anywhere: no database and no cluster can hold them.

    `where` names the value itself; what is in it is named by its path.
    """
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, current = waiting.pop()
        match current:
            case str():
                if not _can_be_stored(current):
                    raise _not_storable(path_text(path) or where)
            case dict():
                if not all(map(_can_be_stored, current)):
                    raise _not_storable(path_text(path) or where, "a key ")
                waiting.extend(((*path, key), each) for key, each in current.items())
            case list():
                waiting.extend(((*path, index), each) for index, each in enumerate(current))


def _can_be_stored(text: str) -> bool:
    return "\x00" not in text and _SURROGATE.search(text) is None


def _not_storable(field: str, what: str = "") -> ArcBridgeError:
    return one(field, f"{what}holds NUL or a lone surrogate character", "remove it")
