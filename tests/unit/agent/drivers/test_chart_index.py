"""A chart is found in indexes as helm and others write them, and nothing else is made of them."""

from __future__ import annotations

import json

import pytest
import yaml

from agent.drivers.chart_index import IndexUnreadable, chart_url

REPO = "https://charts.example/stable"
ENTRIES = {
    "api": [{"version": "1.2.3", "urls": ["api-1.2.3.tgz"], "description": "web:\n- version: 9"}],
    "web": [
        {"version": "2.0.0", "urls": ["https://cdn.example/web-2.0.0.tgz"]},
        {"version": "v1.2.3", "urls": ["charts/web-v1.2.3.tgz"], "created": "not a date"},
        {"version": "1.2.30", "urls": ["wrong.tgz"]},
        {"version": "1.10.0+build.1", "urls": ["/web-1.10.0.tgz"]},
    ],
    "web-extra": [{"version": "1.2.3", "urls": ["wrong.tgz"], "web": [{"version": "1.2.3"}]}],
}
INDEX = {"apiVersion": "v1", "entries": ENTRIES, "generated": "2026-01-01T00:00:00Z"}
FLUSH = yaml.safe_dump(INDEX).encode()
INDENTED = b"""\
apiVersion: v1
entries:

    "api":
        - version: 1.2.3
          urls:
              - wrong.tgz
    "web":
        - annotations:
              notes: |
                  web:
                  - version: 1.2.3
                    urls: [wrong.tgz]
          version: 1.2.4
          urls: [wrong.tgz]

        - version: 1.2.3
          urls:
              - charts/web-v1.2.3.tgz
generated: now
"""


@pytest.mark.parametrize(
    "index",
    [FLUSH, INDENTED, FLUSH.replace(b"\n", b"\r\n"), json.dumps(INDEX).encode(),
     yaml.safe_dump(INDEX, default_flow_style=True).encode()],
    ids=["helm's own", "indented", "crlf", "json", "flow"],
)  # fmt: skip
def test_an_exact_version_is_found_however_the_index_is_written(index: bytes) -> None:
    url = chart_url(index, repo=REPO, chart="web", version="1.2.3")
    assert url == "https://charts.example/stable/charts/web-v1.2.3.tgz"


@pytest.mark.parametrize(
    ("version", "url"),
    [
        ("2.0.0", "https://cdn.example/web-2.0.0.tgz"),
        ("v1.2.3", "https://charts.example/stable/charts/web-v1.2.3.tgz"),
        ("1.10.0", "https://charts.example/web-1.10.0.tgz"),
    ],
)
def test_urls_are_absolute_or_count_from_the_repository(version: str, url: str) -> None:
    assert chart_url(FLUSH, repo=f"{REPO}/", chart="web", version=version) == url


@pytest.mark.parametrize(
    "index",
    [
        b"", b"[]", b"{", b"entries: {web: 1}", b"entries: []", b"&a [*a", b"{" * 5000,
        b"entries:\n  web:\n  - &a {version: 1.2.3, urls: [*a]}\n", b"\xff\xfe", b"[" * 5000,
        b"entries:\n  web:\n  - version: 1.2.3\n    x: " + b"- " * 100_000,
        b"entries:\n  web:\n  - version: 1.2.3\n",
    ],
)  # fmt: skip
def test_what_is_no_index_is_refused(index: bytes) -> None:
    with pytest.raises(IndexUnreadable):
        chart_url(index, repo=REPO, chart="web", version="1.2.3")


@pytest.mark.parametrize(("chart", "version"), [("web", "3.0.0"), ("we.", "1.2.3"), ("x", "1.0.0")])
def test_what_the_repository_has_not_is_named(chart: str, version: str) -> None:
    with pytest.raises(IndexUnreadable, match=f"the repository has no {chart}"):
        chart_url(FLUSH, repo=REPO, chart=chart, version=version)


def test_a_large_index_is_not_parsed_as_a_whole() -> None:
    filler = b"".join(
        b"  chart-%d:\n  - version: 1.2.3\n    urls: [x.tgz]\n    broken: [\n" % n
        for n in range(100_000)
    )
    index = b"apiVersion: v1\nentries:\n" + filler + b"  web:\n  - version: 1.2.3\n    urls: [y]\n"
    assert chart_url(index, repo=REPO, chart="web", version="1.2.3").endswith("/y")
