"""Certificate requests (PKCS#10, RFC 2986): the public key is taken, everything else is ignored.

`cryptography` loads a request with a broken signature, RSA-1024 and P-192 without complaint, so the
checks are ours. The signature proves that the sender holds the private key.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.contract.errors import ErrorCode, FieldError
from shared.domain.errors import ArcBridgeError
from shared.identity.certificates import PublicKey

MAX_CHARACTERS = 12 * 1024
MIN_RSA_BITS = 3072
MAX_RSA_BITS = 8192
"""More makes each check of a signature slow, for the control plane and the relay alike."""
ALLOWED = "use P-256, P-384, or RSA with at least 3072 bits"


def public_key_of(pem: str) -> PublicKey:
    """The public key of a request that keeps to the policy. Raises InvalidRequest."""
    if len(pem) > MAX_CHARACTERS:
        raise _refused(f"it is longer than {MAX_CHARACTERS} characters")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        _check_key(key)
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise _refused("it is no PKCS#10 request with a key that can be read", ALLOWED) from error
    if not signed:
        raise _refused("its signature does not fit its key", "make the request again")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise _refused("its key is of a kind that is not allowed", ALLOWED)
    return key


def _check_key(key: object) -> None:
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1()):
            return
        case rsa.RSAPublicKey() if (
            MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS and key.public_numbers().e == 65537
        ):
            return
        case _:
            raise _refused("its key is of a kind that is not allowed", ALLOWED)


def _refused(why: str, remedy: str | None = None) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"the certificate request is refused: {why}",
        errors=(FieldError(field="csr", message=why, remedy=remedy),),
    )
