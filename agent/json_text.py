"""JSON text that YAML's readers read alike. Pure.

The API server reads the body of a server-side apply as YAML, and so does helm its values. To Go's
YAML a pair of surrogate escapes is an error, and some characters are line breaks or nothing that
may stand there. So all text stands as it is but for those, which are escaped.
"""

from __future__ import annotations

import json
import re
from typing import Any

_TO_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""DEL and C1 controls (NEL among them), separators, lone surrogates, byte order marks."""


def json_text(value: Any) -> bytes:
    """The JSON text of a value, in UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
