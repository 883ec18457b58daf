"""Protobuf request bodies, written here byte by byte."""

from __future__ import annotations

import pytest

from dev.kube import protobuf
from dev.kube.errors import StatusError


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def text(number: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = text(1, api_version) + text(2, kind)
    return b"k8s\x00" + text(1, meta) + text(2, raw) + text(3, "") + text(4, "")


def test_a_secret_is_read_with_its_bytes_in_base64() -> None:
    metadata = text(1, "s") + text(2, "") + text(11, text(1, "a") + text(2, "b")) + text(8, b"")
    entry = text(1, "key") + text(2, b"\x00\xff")
    raw = text(1, metadata) + text(2, entry) + text(3, "Opaque")
    assert protobuf.decode(body("v1", "Secret", raw)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"a": "b"}},
        "data": {"key": "AP8="},
        "type": "Opaque",
    }


def test_text_of_a_config_map_stays_text() -> None:
    raw = text(2, text(1, "key") + text(2, "välue"))
    assert protobuf.decode(body("v1", "ConfigMap", raw))["data"] == {"key": "välue"}


def test_pointers_keep_their_zero_and_others_lose_it() -> None:
    raw = text(2, integer(1, 0) + integer(5, 0))
    assert protobuf.decode(body("apps/v1", "Deployment", raw))["spec"] == {"replicas": 0}


def test_integers_or_strings_and_times_are_unfolded() -> None:
    numbered = text(4, integer(1, 0) + integer(2, 8080) + text(3, ""))
    named = text(4, integer(1, 1) + integer(2, 0) + text(3, "http"))
    service = text(2, text(1, integer(3, 80) + numbered) + text(1, integer(3, 81) + named))
    ports = protobuf.decode(body("v1", "Service", service))["spec"]["ports"]
    assert [port["targetPort"] for port in ports] == [8080, "http"]
    lease = text(2, text(1, "me") + text(4, integer(1, 1_767_225_600) + integer(2, 5_000)))
    spec = protobuf.decode(body("coordination.k8s.io/v1", "Lease", lease))["spec"]
    assert spec == {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000005Z"}


def test_inlined_messages_stand_in_their_parent() -> None:
    volume = text(1, "v") + text(2, text(19, text(1, text(1, "settings"))))
    raw = text(2, text(1, volume))
    volumes = protobuf.decode(body("v1", "Pod", raw))["spec"]["volumes"]
    assert volumes == [{"name": "v", "configMap": {"name": "settings"}}]


@pytest.mark.parametrize("junk", [b"", b"{}", b"k8s\x00\xff", b"k8s\x00" + text(1, b"\x0a\x7f")])
def test_junk_is_a_bad_request(junk: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        protobuf.decode(junk)
    assert caught.value.code in {400, 415}


def test_a_kind_without_field_numbers_is_refused_by_name() -> None:
    with pytest.raises(StatusError, match="accepted media types"):
        protobuf.decode(body("example.com/v1", "Widget", b""))
