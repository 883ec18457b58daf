"""The parameters that every list takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contract.base import Text, WireModel
from shared.contract.limits import PAGE_DEFAULT, PAGE_MAX

Cursor = Annotated[Text, StringConstraints(max_length=1024)]


class PageQuery(WireModel):
    """Which page, and how long."""

    cursor: Cursor | None = None
    """`nextCursor` of the page before; the first page without one."""
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    """Items per page."""
