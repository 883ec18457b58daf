"""A real OpenID Connect issuer on loopback, for development and tests.

It signs RS256 access tokens shaped like Microsoft Entra ID's version 2.0 tokens, for seeded users
and services, through the two grants that people and programs use: authorization code with PKCE,
and client credentials. The control plane validates them with the very code that validates Entra
ID's. There is no way to a token but these grants: passwords and client secrets are made at the
first start and kept in the state directory.

It has no consent, no refresh tokens, no device codes, no sessions: one page asks for name and
password each time. Never expose it beyond loopback.
"""
