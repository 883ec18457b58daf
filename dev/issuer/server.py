"""The issuer's HTTP endpoints, at the paths where Entra ID has them."""

from __future__ import annotations

import base64
import binascii
import html
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dev.issuer.directory import Client, Directory
from dev.issuer.grants import Codes, GrantError, Request, is_loopback_redirect
from dev.issuer.keys import ALGORITHM, SigningKeys
from dev.issuer.tokens import Issuance, client_access_token, id_token, user_access_token

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
PAGE_POLICY = {
    **NO_STORE,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Frame-Options": "DENY",
}
MAX_FORM_BYTES = 16_384
OIDC_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True)
class Issuer:
    """The issuer: who exists, what it signs with, and what it has handed out."""

    base_url: str
    directory: Directory
    keys: SigningKeys
    codes: Codes
    token_lifetime: timedelta
    clock: Callable[[], datetime]

    def issuer_of(self, tid: str) -> str:
        """The `iss` of a directory."""
        return f"{self.base_url}/{tid}/v2.0"

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/{tid}/v2.0/.well-known/openid-configuration", self.discovery),
                Route("/{tid}/discovery/v2.0/keys", self.key_set),
                Route("/{tid}/oauth2/v2.0/authorize", self.authorize, methods=["GET", "POST"]),
                Route("/{tid}/oauth2/v2.0/token", self.token, methods=["POST"]),
            ]
        )

    async def discovery(self, request: HttpRequest) -> Response:
        """OpenID Connect Discovery 1.0."""
        tid = self._tid(request)
        oauth = f"{self.base_url}/{tid}/oauth2/v2.0"
        return JSONResponse(
            {
                "issuer": self.issuer_of(tid),
                "authorization_endpoint": f"{oauth}/authorize",
                "token_endpoint": f"{oauth}/token",
                "jwks_uri": f"{self.base_url}/{tid}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": [
                    "none", "client_secret_post", "client_secret_basic",
                ],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile"],
            }
        )  # fmt: skip

    async def key_set(self, request: HttpRequest) -> Response:
        """The public keys."""
        self._tid(request)
        return JSONResponse(self.keys.public())

    async def authorize(self, request: HttpRequest) -> Response:
        """GET shows the sign-in page; POST checks name and password and goes back with a code.

        An error in the client or its redirect address is shown and never redirected (RFC 6749,
        4.1.2.1).
        """
        tid = self._tid(request)
        posted = request.method == "POST"
        fields = await form_of(request) if posted else dict(request.query_params)
        redirect_uri = fields.get("redirect_uri", "")
        if self.directory.client(fields.get("client_id", "")) is None:
            return page("<p>This program is not known here.</p>", status=400)
        if not is_loopback_redirect(redirect_uri):
            return page("<p>The redirect address must be on this machine.</p>", status=400)
        try:
            asked = self._checked(tid, fields)
        except GrantError as error:
            answer = {"error": error.error, "error_description": str(error)}
            return redirect(redirect_uri, answer, fields.get("state"))
        if request.method == "GET":
            return sign_in_page(fields)
        user = self.directory.user_with_password(
            tid, fields.get("username", ""), fields.get("password", "")
        )
        if user is None:
            return sign_in_page(fields, "The name or the password is wrong.", status=401)
        code = secrets.token_urlsafe(32)
        self.codes.issue(code, asked, user, self.clock())
        return redirect(redirect_uri, {"code": code}, asked.state)

    async def token(self, request: HttpRequest) -> Response:
        """The token endpoint (RFC 6749, 3.2)."""
        tid = self._tid(request)
        fields = await form_of(request)
        try:
            match fields.get("grant_type"):
                case "authorization_code":
                    answer = self._for_code(tid, fields, request)
                case "client_credentials":
                    answer = self._for_client(tid, fields, request)
                case _:
                    raise GrantError(
                        "unsupported_grant_type", "authorization_code or client_credentials"
                    )
        except GrantError as error:
            status = 401 if error.error == "invalid_client" else 400
            body = {"error": error.error, "error_description": str(error)}
            return JSONResponse(body, status_code=status, headers=NO_STORE)
        return JSONResponse(answer, headers=NO_STORE)

    def _for_code(
        self, tid: str, fields: Mapping[str, str], request: HttpRequest
    ) -> dict[str, Any]:
        client_id, secret = client_credentials_of(fields, request)
        client = self.directory.client(client_id)
        if client is None or (
            client.confidential
            and self.directory.client_with_secret(tid, client_id, secret) is None
        ):
            raise GrantError("invalid_client", "the client is unknown or its secret is wrong")
        code = self.codes.redeem(
            fields.get("code", ""),
            tid=tid,
            client_id=client_id,
            redirect_uri=fields.get("redirect_uri", ""),
            verifier=fields.get("code_verifier", ""),
            now=self.clock(),
        )
        application = self.directory.seed.application
        issuance = self._issuance(tid)
        access = user_access_token(issuance, application, code.user, client)
        answer = self._answer(access, scope=code.request.scope)
        if "openid" in code.request.scope.split():
            identity = id_token(issuance, code.user, client, code.request.nonce)
            answer["id_token"] = self.keys.sign(identity)
        return answer

    def _for_client(
        self, tid: str, fields: Mapping[str, str], request: HttpRequest
    ) -> dict[str, Any]:
        client_id, secret = client_credentials_of(fields, request)
        client: Client | None = self.directory.client_with_secret(tid, client_id, secret)
        if client is None:
            raise GrantError("invalid_client", "the client is unknown or its secret is wrong")
        application = self.directory.seed.application
        if fields.get("scope") not in {f"{application.id}/.default", f"{application.uri}/.default"}:
            raise GrantError("invalid_scope", f"ask for {application.uri}/.default")
        return self._answer(client_access_token(self._issuance(tid), application, client))

    def _answer(self, claims: dict[str, Any], *, scope: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": int(self.token_lifetime.total_seconds()),
            "access_token": self.keys.sign(claims),
        }
        return answer | ({"scope": scope} if scope else {})

    def _issuance(self, tid: str) -> Issuance:
        return Issuance(
            issuer=self.issuer_of(tid),
            tid=tid,
            now=self.clock(),
            lifetime=self.token_lifetime,
            token_id=secrets.token_urlsafe(16),
        )

    def _checked(self, tid: str, fields: Mapping[str, str]) -> Request:
        if fields.get("response_type") != "code":
            raise GrantError("unsupported_response_type", "only response_type=code")
        if fields.get("code_challenge_method") != "S256" or not fields.get("code_challenge"):
            raise GrantError("invalid_request", "PKCE with S256 is required")
        application = self.directory.seed.application
        offered = {
            f"{prefix}/{name}"
            for prefix in (application.id, application.uri)
            for name in (application.scope, ".default")
        }
        scope = fields.get("scope", "")
        asked = set(scope.split()) - OIDC_SCOPES
        if not asked or not asked <= offered:
            raise GrantError("invalid_scope", f"ask for {application.uri}/{application.scope}")
        return Request(
            tid=tid,
            client_id=fields["client_id"],
            redirect_uri=fields["redirect_uri"],
            code_challenge=fields["code_challenge"],
            scope=scope,
            state=fields.get("state"),
            nonce=fields.get("nonce"),
        )

    def _tid(self, request: HttpRequest) -> str:
        tid = str(request.path_params["tid"])
        if not self.directory.has_directory(tid):
            raise HTTPException(status_code=404)
        return tid


async def form_of(request: HttpRequest) -> dict[str, str]:
    """The fields of an urlencoded form of at most 16 KiB; the first of a repeated one is void."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise HTTPException(status_code=413)
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def client_credentials_of(fields: Mapping[str, str], request: HttpRequest) -> tuple[str, str]:
    """Client id and secret from the form, or from HTTP Basic (RFC 6749, 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return fields.get("client_id", ""), fields.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise GrantError("invalid_client", "the Authorization header cannot be read") from error
    return unquote(client_id), unquote(secret)


def redirect(uri: str, answer: Mapping[str, str], state: str | None) -> Response:
    """Back to the program, with the answer in the query."""
    parts = urlsplit(uri)
    query = urlencode({**answer, **({"state": state} if state else {})})
    joined = f"{parts.query}&{query}" if parts.query else query
    return RedirectResponse(
        urlunsplit(parts._replace(query=joined)), status_code=303, headers=NO_STORE
    )


def sign_in_page(fields: Mapping[str, str], problem: str = "", *, status: int = 200) -> Response:
    """The form for name and password; what the program asked for travels along in hidden fields."""
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
        if name not in {"username", "password"}
    )
    return page(
        f"<p>{html.escape(problem)}</p><form method='post'>{hidden}"
        "<p><label>Name <input name='username' autocomplete='username'></label></p>"
        "<p><label>Password <input name='password' type='password'></label></p>"
        "<p><button>Sign in</button></p></form>",
        status=status,
    )


def page(content: str, *, status: int = 200) -> Response:
    """A page without scripts."""
    return HTMLResponse(
        f"<!doctype html><html lang='en'><title>Development sign-in</title>"
        f"<h1>ArcBridge development sign-in</h1>{content}</html>",
        status_code=status,
        headers=PAGE_POLICY,
    )
