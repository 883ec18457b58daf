"""Checks SSH signatures, as Git makes them. Pure.

Source: OpenSSH's PROTOCOL.sshsig, and RFC 4253, RFC 5656, RFC 8332 and RFC 8709 for the keys. Keys
on hardware tokens (`sk-`), certificates and RSA with SHA-1 are refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_EC_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    b"ecdsa-sha2-nistp256": hashes.SHA256(),
    b"ecdsa-sha2-nistp384": hashes.SHA384(),
    b"ecdsa-sha2-nistp521": hashes.SHA512(),
}
_RSA_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    b"rsa-sha2-256": hashes.SHA256(),
    b"rsa-sha2-512": hashes.SHA512(),
}
_RSA_BITS = 2048


class SignatureRefused(ValueError):
    """The signature is not one, or not by a key that is allowed."""


@dataclass(frozen=True)
class _Signature:
    public_key: bytes
    namespace: bytes
    reserved: bytes
    hash_name: bytes
    algorithm: bytes
    value: bytes


def check_signature(armored: str, message: bytes, *, namespace: str, keys: Iterable[str]) -> str:
    """Return if `armored` signs `message` with one of `keys` (lines of an authorized_keys file).

    Gives the key's fingerprint as ssh-keygen shows it. Raises SignatureRefused.
    """
    found = _parse(armored)
    shown = _fingerprint(found.public_key)
    if found.public_key not in {_blob(line) for line in keys}:
        raise SignatureRefused(f"it is signed by the key {shown}, which is not among the keys")
    if found.namespace != namespace.encode():
        raise SignatureRefused(f"it is signed for another purpose than {namespace}")
    digest = _HASHES.get(found.hash_name)
    if digest is None:
        raise SignatureRefused("its signature uses an unknown hash")
    signed = _MAGIC + b"".join(
        _string(part)
        for part in (
            found.namespace,
            found.reserved,
            found.hash_name,
            digest(message).digest(),
        )
    )
    try:
        _verify(found, signed)
    except InvalidSignature as error:
        raise SignatureRefused(f"its signature by {shown} is not of this content") from error
    return shown


def _parse(armored: str) -> _Signature:
    lines = armored.strip().splitlines()
    if not lines or lines[0] != _BEGIN or lines[-1] != _END:
        raise SignatureRefused("it is not signed with an SSH key")
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
        if blob[:6] != _MAGIC or int.from_bytes(blob[6:10], "big") != 1:
            raise SignatureRefused("its signature is of an unknown version")
        public_key, namespace, reserved, hash_name, signature = _strings(blob[10:], 5)
        algorithm, value = _strings(signature, 2)
    except (binascii.Error, ValueError) as error:
        if isinstance(error, SignatureRefused):
            raise
        raise SignatureRefused("its signature is not readable") from error
    return _Signature(public_key, namespace, reserved, hash_name, algorithm, value)


def _verify(found: _Signature, signed: bytes) -> None:
    """Raises InvalidSignature, and SignatureRefused for kinds of keys that are not known here."""
    key = _key(found.public_key)
    if isinstance(key, ed25519.Ed25519PublicKey) and found.algorithm == b"ssh-ed25519":
        key.verify(found.value, signed)
    elif isinstance(key, ec.EllipticCurvePublicKey) and found.algorithm in _EC_HASHES:
        try:
            r, s = (int.from_bytes(part, "big") for part in _strings(found.value, 2))
        except ValueError as error:
            raise InvalidSignature from error
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_EC_HASHES[found.algorithm]))
    elif (
        isinstance(key, rsa.RSAPublicKey)
        and found.algorithm in _RSA_HASHES
        and key.key_size >= _RSA_BITS
    ):
        key.verify(found.value, signed, padding.PKCS1v15(), _RSA_HASHES[found.algorithm])
    else:
        raise SignatureRefused("its signature is by a kind of key that is not accepted")


def _key(blob: bytes) -> object:
    try:
        kind = _strings(blob, None)[0]
        return load_ssh_public_key(kind + b" " + base64.b64encode(blob))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefused("its signature is by a key that is not readable") from error


def _blob(line: str) -> bytes:
    """The key of a line `ssh-ed25519 AAAA… comment`; nothing that equals a key for any other."""
    try:
        return base64.b64decode(line.split()[1], validate=True)
    except (IndexError, binascii.Error):
        return b""


def _fingerprint(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode()


def _string(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _strings(data: bytes, count: int | None) -> list[bytes]:
    """The length-prefixed strings of RFC 4251. Raises ValueError unless they are `count`."""
    found: list[bytes] = []
    while data and (count is None or len(found) < count):
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            raise ValueError("cut off")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    if data or (count is not None and len(found) != count) or not found:
        raise ValueError("not as many strings as there should be")
    return found
