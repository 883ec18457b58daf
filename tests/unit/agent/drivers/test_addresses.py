"""From which addresses content may be fetched."""

from __future__ import annotations

import pytest

from agent.drivers.addresses import refusal


@pytest.mark.parametrize("address", ["1.1.1.1", "20.60.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_good(address: str) -> None:
    assert refusal(address, private_allowed=False) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.9.9", "192.168.1.1", "100.64.0.1", "127.0.0.1", "::1", "fd12::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:0a00:0001::", "240.0.0.1",
    ],
)  # fmt: skip
def test_private_and_loopback_addresses_are_good_only_where_they_are_allowed(address: str) -> None:
    assert refusal(address, private_allowed=False)
    assert refusal(address, private_allowed=True) is None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fe80::1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::", "224.0.0.1", "ff02::1",
    ],
)  # fmt: skip
def test_metadata_link_local_and_multicast_addresses_are_never_good(address: str) -> None:
    assert refusal(address, private_allowed=False)
    assert refusal(address, private_allowed=True)
