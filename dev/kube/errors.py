"""Failures in the shape every Kubernetes client understands: a `Status` object.

Wording follows the real API server, because people and tools match on it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Cause = dict[str, str]


class StatusError(Exception):
    """A request that ends with a `Status` of status Failure.

    `code` is the HTTP status, `reason` the machine-readable word, `details` the optional
    `Status.details`.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def to_status(self) -> dict[str, Any]:
        """The `Status` object of this failure."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details is not None:
            status["details"] = self.details
        return status


def qualified(plural: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group."""
    return f"{plural}.{group}" if group else plural


def _details(name: str, group: str, kind: str, **more: Any) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in found.items() if value}


def not_found(plural: str, group: str, name: str) -> StatusError:
    """404 for one named object."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(name, group, plural))


def no_such_path() -> StatusError:
    """404 for a path that no resource serves."""
    message = "the server could not find the requested resource"
    return StatusError(404, "NotFound", message, {})


def already_exists(plural: str, group: str, name: str) -> StatusError:
    """409 for a create of a name that is taken."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(plural: str, group: str, name: str, why: str) -> StatusError:
    """409 for a failed precondition (resourceVersion, uid)."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(name, group, plural))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def modified(plural: str, group: str, name: str) -> StatusError:
    """409 for an update made from an old resourceVersion."""
    return conflict(plural, group, name, MODIFIED)


def bad_request(message: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", message)


def forbidden(plural: str, group: str, name: str, why: str, cause: str = "") -> StatusError:
    """403, for example a create in a namespace that is being terminated."""
    message = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    causes = [{"reason": cause, "message": why, "field": "metadata.namespace"}] if cause else None
    return StatusError(403, "Forbidden", message, _details(name, group, plural, causes=causes))


def unauthorized() -> StatusError:
    """401: no token, or a wrong one."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(message: str = "") -> StatusError:
    """405."""
    text = message or "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", text, {})


def unsupported_media_type(given: str, accepted: Sequence[str]) -> StatusError:
    """415."""
    wanted = ", ".join(accepted)
    message = (
        f"the body of the request was in an unknown format - accepted media types include: {wanted}"
    )
    return StatusError(415, "UnsupportedMediaType", message, {"causes": [{"message": given}]})


def gone(message: str) -> StatusError:
    """410: the resourceVersion or continue token is too old; list again."""
    return StatusError(410, "Expired", message)


def cause(kind: str, path: str, message: str) -> Cause:
    """One `Status.details.causes` entry; `kind` is FieldValueRequired, FieldValueInvalid, …"""
    return {"reason": kind, "message": message, "field": path}


def required(path: str, text: str = "") -> Cause:
    """A field that must be given."""
    return cause("FieldValueRequired", path, "Required value" + (f": {text}" if text else ""))


def duplicate(path: str, value: Any) -> Cause:
    """A value that has to be there once only."""
    return cause("FieldValueDuplicate", path, f"Duplicate value: {render(value)}")


def invalid_value(path: str, value: Any, text: str) -> Cause:
    """A field whose value cannot be accepted."""
    return cause("FieldValueInvalid", path, f"Invalid value: {render(value)}: {text}")


def not_supported(path: str, value: Any, allowed: Sequence[str]) -> Cause:
    """A field outside its enumeration."""
    wanted = ", ".join(f'"{item}"' for item in allowed)
    text = f"Unsupported value: {render(value)}: supported values: {wanted}"
    return cause("FieldValueNotSupported", path, text)


def render(value: Any) -> str:
    """A value as the API server prints it inside an error."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 with one cause per offending field."""
    lines = [f"{item['field']}: {item['message']}" for item in causes]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    details = _details(name, group, kind, causes=list(causes))
    return StatusError(422, "Invalid", message, details)
