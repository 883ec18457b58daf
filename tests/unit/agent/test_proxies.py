"""Which proxy a request goes through: the rules that helm follows, for everything."""

from __future__ import annotations

import pytest

from agent.proxies import proxy_for, with_cluster_unproxied

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    "no_proxy",
    [
        "*",
        "arc.example",
        ".example",
        "*.example",
        "example",
        "other.test, api.arc.example",
        "api.arc.example:443",
    ],
)
def test_a_name_that_is_excepted_is_reached_directly(no_proxy: str) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_for("https://api.arc.example/x", environ) is None


@pytest.mark.parametrize(
    "no_proxy",
    ["", "ample", "api.arc.example:8443", ".api.arc.example", "10.0.0.0/8", "bad/x"],
)
def test_any_other_name_goes_through_the_proxy(no_proxy: str) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_for("https://api.arc.example", environ) == PROXY


@pytest.mark.parametrize("no_proxy", ["10.0.0.1", "10.0.0.0/8", "10.0.0.1:6443"])
def test_addresses_and_networks_are_excepted(no_proxy: str) -> None:
    environ = {"https_proxy": PROXY, "no_proxy": no_proxy}
    assert proxy_for("https://10.0.0.1:6443", environ) is None
    assert proxy_for("https://11.0.0.1:6443", environ) == PROXY


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.9.9.9"])
def test_loopback_is_never_proxied(host: str) -> None:
    assert proxy_for(f"https://{host}:8443", {"HTTPS_PROXY": PROXY}) is None


def test_each_scheme_has_its_variable() -> None:
    environ = {"HTTPS_PROXY": PROXY}
    assert proxy_for("http://api.arc.example", environ) is None
    assert proxy_for("http://api.arc.example", {"HTTP_PROXY": "p:1"}) == "http://p:1"


def test_a_pods_own_api_server_is_never_proxied() -> None:
    environ = {"NO_PROXY": "corp.example", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    wanted = with_cluster_unproxied(environ)
    assert wanted.startswith("corp.example,10.96.0.1,")
    for url in ("https://10.96.0.1:443", "https://web.shop.svc", "https://x.svc.cluster.local"):
        assert proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": wanted}) is None
    assert proxy_for("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": wanted}) == PROXY
