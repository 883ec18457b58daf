"""Entity tags: If-Match, If-None-Match and ETag (RFC 9110, 8.8.3 and 13.1)."""

from __future__ import annotations

import re

from functions.edge.field_errors import one
from shared.contract.base import WireModel
from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError

_TAG = re.compile(r'(?P<weak>W/)?"(?P<tag>[!#-~]{0,256})"')


def entity_tag(model: WireModel) -> str | None:
    """A model's own entity tag, without quotes; None where it has none."""
    if isinstance(model, DesiredDocument):
        return model.digest
    etag = getattr(model, "etag", None)
    return etag if isinstance(etag, str) else None


def if_match(header: str | None, *, required: bool) -> str | None:
    """The one tag of If-Match without its quotes, or `*`; None for none where none is needed."""
    if header is None:
        if required:
            raise ArcBridgeError(
                ErrorCode.PRECONDITION_REQUIRED,
                "This call needs If-Match with the ETag of what you read, or * for any version.",
            )
        return None
    if header.strip() == "*":
        return "*"
    match = _TAG.fullmatch(header.strip())
    if match is None:
        raise one("If-Match", "is not one quoted entity tag", "send the ETag as it was received")
    if match["weak"]:  # If-Match compares strongly, so a weak tag matches nothing
        raise ArcBridgeError(ErrorCode.PRECONDITION_FAILED, "A weak entity tag never matches here.")
    return match["tag"]


def if_none_match(header: str | None) -> frozenset[str]:
    """The tags of If-None-Match, without quotes and weakness; what is malformed matches nothing."""
    return frozenset(match["tag"] for match in _TAG.finditer(header or ""))
