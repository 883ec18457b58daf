"""The issuing CA of production: a non-exportable key in Key Vault, which signs and never leaves.

`cryptography` builds and encodes the certificate; only the digest goes to Key Vault, and only a
signature comes back. The SDK's client is synchronous here because the builder is: each signature
waits in a thread, a few at once, under a deadline. Azure's packages are imported when the issuer is
made, not before.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.identity.certificates import LEAF_LIFETIME
from shared.identity.issuer import Authority, SigningIssuer
from shared.telemetry.logs import get_logger

if TYPE_CHECKING:
    from azure.keyvault.keys.crypto import CryptographyClient

SIGN_SECONDS = 15.0
SIGNATURES_AT_ONCE = 8
RETRY_SECONDS = 10.0

_log = get_logger(__name__)


class KeyVaultIssuer(SigningIssuer):
    """Signs through Key Vault's sign operation. Close it: it holds threads and a connection."""

    def __init__(
        self,
        client: CryptographyClient,
        authority: Authority,
        *,
        leaf_lifetime: timedelta = LEAF_LIFETIME,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__(authority, leaf_lifetime=leaf_lifetime, random=random)
        public_key = authority.issuing.public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise ValueError("the issuing CA's certificate must be of an elliptic curve key")  # noqa: TRY004 - the certificate's content is wrong, not an argument's type
        self._client = client
        self._key = _RemoteKey(client, public_key)
        self._threads = ThreadPoolExecutor(SIGNATURES_AT_ONCE, thread_name_prefix="key-vault")

    async def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Have it signed. Raises Unavailable when Key Vault does not answer in time, or refuses."""
        from azure.core.exceptions import AzureError

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SIGN_SECONDS):
                return await loop.run_in_executor(
                    self._threads, builder.sign, self._key, self._key.hash_algorithm
                )
        except (AzureError, TimeoutError) as error:
            _log.error("key vault did not sign", error=repr(error))
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE,
                "certificates cannot be issued now: the signing key does not answer",
                retry_after=RETRY_SECONDS,
            ) from error

    def close(self) -> None:
        """Let go of the threads and the connection."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()


def connect(key_id: str, authority: Authority, *, leaf_lifetime: timedelta) -> KeyVaultIssuer:
    """An issuer on the key `https://<vault>.vault.azure.net/keys/<name>/<version>`.

    The identity is the host's managed one, or whatever else azure-identity finds.
    """
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.keys.crypto import CryptographyClient

    client = CryptographyClient(key_id, DefaultAzureCredential())
    return KeyVaultIssuer(client, authority, leaf_lifetime=leaf_lifetime)


class _RemoteKey(ec.EllipticCurvePrivateKey):
    """A private key that is elsewhere: it can sign, and nothing else."""

    def __init__(self, client: CryptographyClient, public_key: ec.EllipticCurvePublicKey) -> None:
        from azure.keyvault.keys.crypto import SignatureAlgorithm

        self._client = client
        self._public_key = public_key
        self._strong = isinstance(public_key.curve, ec.SECP384R1)
        self._algorithm = SignatureAlgorithm.es384 if self._strong else SignatureAlgorithm.es256

    @property
    def hash_algorithm(self) -> hashes.SHA256 | hashes.SHA384:
        return hashes.SHA384() if self._strong else hashes.SHA256()

    def sign(self, data: bytes | bytearray | memoryview, signature_algorithm: object) -> bytes:
        """Key Vault takes a digest and gives r and s side by side; X.509 wants them in DER."""
        digest = hashlib.new("sha384" if self._strong else "sha256", data).digest()
        raw = self._client.sign(self._algorithm, digest).signature
        half = len(raw) // 2
        r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        return utils.encode_dss_signature(r, s)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise NotImplementedError("the key only signs")

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError("the key does not leave Key Vault")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        raise NotImplementedError("the key does not leave Key Vault")

    def __copy__(self) -> _RemoteKey:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> _RemoteKey:
        return self
