"""Decides which network addresses the agent may fetch content from. Pure.

Whoever writes an extension chooses URLs that the agent then asks for from inside the cluster's
network: without this, a document could read what only that network may (the cloud's metadata
service above all).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("168.63.129.16", "100.100.100.200", "fd00:ec2::254")
)
"""Services of a cloud's host that are not link-local: Azure, Alibaba Cloud, AWS over IPv6."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def refusal(address: str, *, private_allowed: bool) -> str | None:
    """Why nothing may be fetched from this address, or None.

    Link-local, metadata and multicast addresses are refused even where private ones are allowed.
    """
    parsed = _unwrapped(ipaddress.ip_address(address))
    if parsed in _METADATA or parsed.is_link_local:
        return "a link-local or metadata address"
    if parsed.is_multicast or parsed.is_unspecified:
        return "not the address of one host"
    if not parsed.is_global and not private_allowed:
        return "a private or loopback address"
    return None


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether the address, or the IPv4 address inside it, is of one of the networks."""
    parsed = _unwrapped(ipaddress.ip_address(address))
    return any(parsed in network for network in networks)


def _unwrapped(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one: a packet to either arrives at the same host."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address
