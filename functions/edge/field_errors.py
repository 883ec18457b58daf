"""Wrong fields as `InvalidRequest`: every one of them, named, with its remedy."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.violations import violations
from shared.domain.errors import ArcBridgeError


def invalid(error: ValidationError, adapter: TypeAdapter[Any], where: str) -> ArcBridgeError:
    """`InvalidRequest` with every wrong field; `where` is `body` or `query`."""
    fields = violations(error, nameless=where, schema=lambda: adapter.json_schema(by_alias=True))
    count = error.error_count()
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"{'1 field is' if count == 1 else f'{count} fields are'} wrong in the {where}: "
        f"{fields[0].field}: {fields[0].message}",
        errors=fields,
    )


def one(field: str, message: str, remedy: str | None = None) -> ArcBridgeError:
    """`InvalidRequest` because of a single field, parameter or header."""
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"{field}: {message}",
        errors=(FieldError(field=field, message=message, remedy=remedy),),
    )
