"""What names a set of roots, and what may be asked of the CA."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.contract.ca import CaRotateRequest, bundle_digest
from shared.identity import devca


@pytest.fixture
def roots(tmp_path: Path) -> tuple[str, str]:
    devca.make(tmp_path)
    suffix = devca.make_next(tmp_path)
    return (tmp_path / "roots.pem").read_text(), (tmp_path / f"roots{suffix}.pem").read_text()


def test_a_bundle_is_named_by_its_certificates_not_by_their_order_or_text(
    roots: tuple[str, str],
) -> None:
    first, second = roots
    digest = bundle_digest(first + second)
    assert digest == bundle_digest(second + "a comment\n" + first + first)
    assert digest == bundle_digest((first + second).replace("\n", "\r\n"))
    assert digest not in (bundle_digest(first), bundle_digest(second))


def test_text_that_is_no_certificate_counts_as_nothing() -> None:
    odd = "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----"
    assert bundle_digest(odd) == bundle_digest("") == bundle_digest("\x00\ud800")


def test_a_chain_needs_its_key_and_an_override_its_reason() -> None:
    for wrong in ({"chain": "x"}, {"keyId": "https://v/keys/k/1"}, {"overrideOffline": True}):
        with pytest.raises(ValidationError):
            CaRotateRequest.model_validate(wrong)
    assert CaRotateRequest.model_validate({"overrideOffline": True, "reason": "gone for good"})
