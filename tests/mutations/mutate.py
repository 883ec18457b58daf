"""Spoils requests. Pure: the same random source gives the same requests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.routes import Request

NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 0.1)
TEXTS = (
    "",
    " ",
    "x" * 64,
    "x" * 5000,
    "null",
    "true",
    "0",
    "-1",
    "NaN",
    "../../etc/passwd",
    "%00",
    "\\",
    "'; drop table clusters; --",
    "<script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "\u0000",
    "\ud800",
    "\udfff\ud800",
    "\u202e",
    "\ufeff",
    "\uffff",
    "é" * 40,
    "\U0001f9e8" * 20,
    "a\nb",
    "a\r\nb: c",
    "\x1b[31m",
    "5m",
    "10mfoo",
    "1d1d",
    "99999999999d",
    "2999-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-01-01T00:00:00+99:99",
    "00000000-0000-0000-0000-000000000000",
    "sha256:" + "0" * 64,
    "sha256:" + "g" * 64,
    "100%",
    "101%",
    "-1%",
    "1e5",
    "*",
    ".",
    "..",
    "/",
)
ODD: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": ""}, [None], *NUMBERS, *TEXTS)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
CONTENT_TYPES = (
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "APPLICATION/JSON",
    "application/json,application/yaml",
    "application/json;" + "a" * 500,
)
HEADERS = (
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
    "traceparent",
    "tracestate",
    "X-Request-Id",
    "Accept",
    "Content-Encoding",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Cookie",
    "Range",
    "Origin",
    "Accept-Language",
    "X-MS-CLIENT-PRINCIPAL",
    "X-HTTP-Method-Override",
    "Expect",
    "User-Agent",
)
HEADER_VALUES = (
    "",
    "*",
    '"',
    '""',
    '"x"',
    'W/"x"',
    '"a", "b"',
    "x" * 200,
    "x" * 5000,
    "gzip",
    "identity",
    "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
    "00-" + "f" * 32 + "-" + "f" * 16 + "-01",
    "ff-x-y-z",
    "bytes=0-99999999999",
    "127.0.0.1, ,,",
    "[::1]:99999",
    "\xe9\xff",
    "100-continue-not",
    "DELETE",
)
DEEPEST = 16
DEPTHS = (10, 63, 64, 65, 500, 20_000)


@dataclass(frozen=True)
class Mutant:
    """A request that may be wrong in any way that still is HTTP."""

    origin: Request
    method: str
    target: str
    """Path and query, as they stand in the request line."""
    headers: tuple[tuple[str, str], ...]
    content: bytes | None
    how: tuple[str, ...] = ()
    """What was done to it."""

    def but(self, how: str, **changes: Any) -> Mutant:
        """A copy with one more change."""
        return replace(self, **changes, how=(*self.how, how))


def begin(origin: Request) -> Mutant:
    """The request as it would be right."""
    query = f"?{urlencode(origin.query)}" if origin.query else ""
    return Mutant(
        origin, origin.method, origin.path + query, tuple(origin.headers.items()), origin.content
    )


def mutate(origin: Request, random: Random) -> Mutant:
    """One to three changes."""
    mutant = begin(origin)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        mutant = random.choice(ON_BODY if mutant.content and random.random() < 0.7 else ON_REST)(
            mutant, random
        )
    return mutant


def _text(random: Random) -> str:
    return random.choice(TEXTS)


def other_method(mutant: Mutant, random: Random) -> Mutant:
    """Another method."""
    return mutant.but("method", method=random.choice(METHODS))


def other_path(mutant: Mutant, random: Random) -> Mutant:
    """Another segment, encoded so that it is one, or a path that is odd as a whole."""
    path, mark, query = mutant.target.partition("?")
    parts = path.split("/")
    segment = quote(_text(random).encode("utf-8", "surrogatepass"), safe="")
    odd = random.choice(("replace", "append", "double", "dots", "upper", "bad percent", "long"))
    match odd:
        case "replace":
            parts[random.randrange(2, len(parts))] = segment
        case "append":
            parts.append(segment)
        case "double":
            parts.insert(random.randrange(1, len(parts)), "")
        case "dots":
            parts.insert(random.randrange(2, len(parts)), random.choice(("..", ".", "%2e%2e")))
        case "upper":
            parts = [part.upper() for part in parts]
        case "bad percent":
            parts[-1] += random.choice(("%", "%zz", "%c3%28", "%00", "%ff"))
        case "long":
            parts.append("x" * 3000)
    return mutant.but(f"path: {odd}", target="/".join(parts) + mark + query)


def other_query(mutant: Mutant, random: Random) -> Mutant:
    """A parameter more, twice, odd, or a query that is none."""
    path, _, query = mutant.target.partition("?")
    names = ["limit", "cursor", "text", "labels", "verify", "dryRun", "state", "reason", "nothing"]
    names += [pair.partition("=")[0] for pair in query.split("&") if pair]
    value = quote(_text(random).encode("utf-8", "surrogatepass"), safe="")
    pair = f"{random.choice(names)}={value}"
    odd = random.choice(("one more", "twice", "alone", "no value", "bad percent", "many", "long"))
    match odd:
        case "one more":
            query = f"{query}&{pair}"
        case "twice":
            query = f"{query}&{pair}&{pair}"
        case "alone":
            query = pair
        case "no value":
            query = f"{pair.partition('=')[0]}&&=&=x"
        case "bad percent":
            query = random.choice(("limit=%", "text=%ff%fe", "cursor=%c3%28", "limit=%00"))
        case "many":
            query = "&".join(f"a{n}=1" for n in range(64))
        case "long":
            query = "text=" + "x" * 9000
    return mutant.but(f"query: {odd}", target=f"{path}?{query}")


def other_header(mutant: Mutant, random: Random) -> Mutant:
    """A header that is odd, or another content type."""
    if random.random() < 0.3:
        kept = tuple(each for each in mutant.headers if each[0] != "Content-Type")
        pair = ("Content-Type", random.choice(CONTENT_TYPES))
        return mutant.but("content type", headers=(*kept, pair))
    pair = (random.choice(HEADERS), random.choice(HEADER_VALUES))
    return mutant.but(f"header {pair[0]}", headers=(*mutant.headers, pair))


def other_value(mutant: Mutant, random: Random) -> Mutant:
    """One value of the document is another."""
    return _at_a_place(mutant, random, "value", lambda _: random.choice(ODD))


def nested(mutant: Mutant, random: Random) -> Mutant:
    """One value of the document is deep inside of lists or objects."""
    depth = random.choice(DEPTHS)
    lead, tail = random.choice((("[", "]"), ('{"a":', "}")))
    marker = f"deep-{depth}"
    marked = _at_a_place(mutant, random, f"{depth} deep", lambda _: marker)
    deep = lead * depth + "1" + tail * depth
    content = (marked.content or b"").replace(f'"{marker}"'.encode(), deep.encode())
    return replace(marked, content=content)


def without(mutant: Mutant, random: Random) -> Mutant:
    """An object without one of its keys, or with one that it does not know."""

    def changed(value: Any) -> Any:
        if not isinstance(value, dict):
            return random.choice(ODD)
        if value and random.random() < 0.5:
            gone = random.choice(sorted(value))
            return {key: item for key, item in value.items() if key != gone}
        return {**value, random.choice(TEXTS): random.choice(ODD)}

    return _at_a_place(mutant, random, "keys", changed)


def doubled(mutant: Mutant, random: Random) -> Mutant:
    """An object with a key twice: no library writes it, so the text is changed."""
    text = (mutant.content or b"{}").decode("utf-8", "replace")
    places = [place for place, character in enumerate(text) if character == "{"]
    if not places:
        return other_value(mutant, random)
    place = random.choice(places) + 1
    pair = '"metadata": 1, "metadata": 2' if text[place : place + 1] == "}" else '"a": 1, "a": 2, '
    return mutant.but("doubled key", content=(text[:place] + pair + text[place:]).encode())


def longer(mutant: Mutant, random: Random) -> Mutant:
    """A list or a text that is far too long."""
    many = random.choice((100, 1000, 30_000))
    odd = random.choice((["x"] * many, "x" * many, {f"k{n}": "v" for n in range(many)}))
    return _at_a_place(mutant, random, f"{many} long", lambda _: odd)


def other_bytes(mutant: Mutant, random: Random) -> Mutant:
    """Bytes that are cut, flipped, or of another encoding."""
    content = bytearray(mutant.content or b"{}")
    odd = random.choice(("cut", "flip", "latin", "bom", "utf-16", "gzip", "twice", "junk", "empty"))
    headers = mutant.headers
    match odd:
        case "cut":
            content = content[: random.randrange(len(content) + 1)]
        case "flip":
            for _ in range(random.randrange(1, 6)):
                content[random.randrange(len(content))] = random.randrange(256)
        case "latin":
            content[random.randrange(len(content))] = 0xFF
        case "bom":
            content = bytearray(b"\xef\xbb\xbf") + content
        case "utf-16":
            content = bytearray(content.decode("utf-8", "replace").encode("utf-16"))
        case "gzip":
            content = bytearray(gzip.compress(bytes(content), mtime=0))
            headers = (*headers, ("Content-Encoding", random.choice(("gzip", "br", "deflate"))))
        case "twice":
            content = content * 2
        case "junk":
            content = bytearray(random.randbytes(random.randrange(1, 400)))
        case "empty":
            content = bytearray()
    return mutant.but(f"bytes: {odd}", content=bytes(content), headers=headers)


def _at_a_place(mutant: Mutant, random: Random, how: str, change: Callable[[Any], Any]) -> Mutant:
    """The document with one of its values changed, whichever; bytes where it is none any more."""
    try:
        document = json.loads(mutant.content or b"{}")
    except (ValueError, RecursionError):
        return other_bytes(mutant, random)
    path = random.choice(list(_places(document)))
    text = json.dumps(_changed(document, path, change))  # lone surrogates go as escapes
    return mutant.but(f"{how} at {'/'.join(map(str, path))}", content=text.encode())


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a document are, as deep as a valid one goes."""
    inner: list[tuple[Any, Any]] = []
    if len(path) > DEEPEST:
        return [path]
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))[:50]
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


def _changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = _changed(value[path[0]], path[1:], change)
    return copy


Change = Callable[[Mutant, Random], Mutant]
ON_REST: tuple[Change, ...] = (
    other_method,
    other_path,
    other_path,
    other_query,
    other_query,
    other_header,
    other_header,
)
ON_BODY: tuple[Change, ...] = (
    other_value,
    other_value,
    other_value,
    nested,
    without,
    without,
    doubled,
    longer,
    other_bytes,
    other_bytes,
)
