"""The HTTP edge: what every endpoint has in common, once.

A request passes through here in one order: trace and request id, size, authentication, role, rate,
content type and shape of the body, precondition, idempotency; then the endpoint calls one service;
then ETag, problem document, headers. Endpoints hold no such code, and services know no HTTP.
"""
