"""Route templates match what the Functions host would match."""

from __future__ import annotations

import pytest

from dev.host.routes import RouteError, compile_route

GUID = "0192f0a1-7e4c-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("v1/clusters", "/v1/clusters", {}),
        ("v1/clusters", "/V1/Clusters/", {}),
        ("v1/clusters", "/v1/clusters/edge", None),
        ("v1/clusters/{name}", "/v1/clusters/edge-1", {"name": "edge-1"}),
        ("v1/clusters/{name}", "/v1/clusters/a%2Fb%20c", {"name": "a/b c"}),
        ("v1/clusters/{name}", "/v1/clusters", None),
        ("v1/clusters/{name}", "/v1/clusters/a/b", None),
        ("openapi.json", "/openapixjson", None),
        ("x/{id:guid}", f"/x/{GUID}", {"id": GUID}),
        ("x/{id:guid}", "/x/not-a-guid", None),
        ("x/{n:int}", "/x/12", {"n": "12"}),
        ("x/{n:int}", "/x/2147483648", None),
        ("x/{n:long}", "/x/2147483648", {"n": "2147483648"}),
        ("x/{n:int:min(1)}", "/x/0", None),
        ("x/{n:range(1,9)}", "/x/9", {"n": "9"}),
        ("x/{n:range(1,9)}", "/x/10", None),
        ("x/{b:bool}", "/x/True", {"b": "True"}),
        ("x/{w:alpha}", "/x/abc1", None),
        ("x/{w:length(2,3)}", "/x/abcd", None),
        ("x/{w:maxlength(3)}", "/x/abc", {"w": "abc"}),
        ("x/{w:regex(^[a-z]{{2}}$)}", "/x/ab", {"w": "ab"}),
        ("x/{w:regex(^[a-z]{{2}}$)}", "/x/abc", None),
        ("x/{w?}", "/x", {}),
        ("x/{w?}", "/x/y", {"w": "y"}),
        ("x/{w?}", "/xy", None),
        ("x/{n:int?}", "/x/y", None),
        ("x/{*rest}", "/x/a/b/c", {"rest": "a/b/c"}),
        ("x/{*rest}", "/x", {}),
        ("x/{*rest}", "/xa", None),
        ("x/{name}.{kind}", "/x/chart.tgz", {"name": "chart", "kind": "tgz"}),
        ("", "/", {}),
    ],
)
def test_a_template_matches_as_the_host_would(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    assert compile_route(template).match(path) == values


def test_the_more_literal_route_comes_first() -> None:
    templates = ["x/{*rest}", "x/{name}", "x/{n:int}", "x/known", "{a}/known"]
    ordered = sorted(map(compile_route, templates), key=lambda route: route.precedence)
    assert [route.template for route in ordered] == [
        "x/known", "x/{n:int}", "x/{name}", "x/{*rest}", "{a}/known",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "template", ["x/{n=5}", "x/{n:datetime}", "x/{n:min}", "x/{n", "x/a{b?}", "x/{n:int(}"]
)
def test_what_this_host_cannot_serve_is_refused(template: str) -> None:
    with pytest.raises(RouteError):
        compile_route(template)
