"""JSON as the real API server writes it, and what its YAML reader does not take. Pure.

Go leaves text as it stands, NEL (U+0085) too, but escapes U+2028 and U+2029. The body of a
server-side apply is read as YAML, where a pair of surrogate escapes is an error.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def json_text(value: Any) -> bytes:
    """The text of a JSON value, without white space."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode(errors="replace")


def has_surrogate_escapes(body: bytes) -> bool:
    """Whether a YAML reader refuses this JSON."""
    return _SURROGATE.search(body) is not None
