"""Who calls: from the Authorization header alone, checked against the rule of the Function.

No other header is ever identity: what a proxy may have set (client certificates, principals) is
not read. The network address is only a hint for rate limits and the audit trail, and it is the
entry that the platform's own front end appended last.
"""

from __future__ import annotations

from azure.functions import HttpRequest

from functions.access import Rule, Who
from functions.edge.headers import header
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services import authentication
from shared.services.authentication import Access
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane

_SCHEME = "bearer"
_SAFE = frozenset({"GET", "HEAD"})


async def authenticate(
    plane: ControlPlane, rule: Rule, req: HttpRequest, traceparent: str
) -> Caller:
    """The caller, when the rule lets it in. Raises Unauthenticated, Forbidden, Unavailable."""
    address = network_address(req)
    match rule.who:
        case Who.ANYONE | Who.TOKEN_HOLDER:
            return Caller(actor="anyone", tenant="", address=address, traceparent=traceparent)
        case Who.AGENT:
            access = Access.READ if req.method in _SAFE else Access.WRITE
            return await authentication.agent(
                plane, bearer(req), access, address=address, traceparent=traceparent
            )
        case Who.MEMBER | Who.PLATFORM:
            caller = await authentication.person(
                plane, bearer(req), address=address, traceparent=traceparent
            )
            if not rule.allows(caller.roles):
                raise _role_is_not_enough(rule)
            return caller


def bearer(req: HttpRequest) -> str:
    """The bearer token (RFC 6750). Raises Unauthenticated."""
    scheme, _, token = (header(req, "authorization") or "").partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        raise ArcBridgeError(
            ErrorCode.UNAUTHENTICATED, "This call needs Authorization: Bearer <token>."
        )
    return token.strip()


def network_address(req: HttpRequest) -> str | None:
    """The last entry of X-Forwarded-For, without its port; None where there is none."""
    last = (header(req, "x-forwarded-for") or "").rpartition(",")[2].strip()
    if last.startswith("["):  # [2001:db8::1]:443
        return last[1:].partition("]")[0]
    host, colon, _ = last.rpartition(":")
    return (host if colon and ":" not in host else last) or None


def _role_is_not_enough(rule: Rule) -> ArcBridgeError:
    needed = " or ".join(role.value for role in rule.roles)
    whom = (
        "whoever runs this installation" if rule.who is Who.PLATFORM else "an admin of your tenant"
    )
    return ArcBridgeError(
        ErrorCode.FORBIDDEN, f"This call needs the role {needed}; ask {whom} for it."
    )
