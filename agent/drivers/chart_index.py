"""Finds a chart in a repository's index. Pure: the index's bytes go in, a URL comes out.

The index of a large repository is tens of megabytes of YAML, which would take minutes and hundreds
of megabytes to parse. helm writes it as blocks, so the chart's own block is cut out first.
Source: helm's chart repository guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from shared.contract.yaml_text import read_document

_WHOLE_LIMIT = 1024 * 1024
"""An index that is not written in blocks is parsed as a whole up to this size."""
_ENTRY_LIMIT = 1024 * 1024


class IndexUnreadable(ValueError):
    """The index is not one, or does not have what is looked for."""


def chart_url(index: bytes, *, repo: str, chart: str, version: str) -> str:
    """Where an exact version of a chart is; a relative URL counts from the repository's.

    `1.2.3` is also found as `v1.2.3`, as helm does. Raises IndexUnreadable.
    """
    found = [entry for entry in _entries(index, chart, version) if isinstance(entry, dict)]
    same = [entry for entry in found if str(entry.get("version")) == version] or [
        entry for entry in found if _plain(str(entry.get("version"))) == _plain(version)
    ]
    if not same:
        raise IndexUnreadable(f"the repository has no {chart} {version}")
    urls = same[0].get("urls")
    if not isinstance(urls, list) or not urls or not isinstance(urls[0], str):
        raise IndexUnreadable(f"the repository gives no URL for {chart} {version}")
    return urljoin(repo.rstrip("/") + "/", urls[0])


def _entries(index: bytes, chart: str, version: str) -> Iterable[Any]:
    try:
        if index.lstrip()[:1] == b"{":
            return _of(_json_or_yaml(index), chart)
        block = _block(index, chart)
        if block is not None:
            return list(_candidates(block, version))
        if len(index) > _WHOLE_LIMIT:
            raise IndexUnreadable(f"the repository has no {chart}")
        return _of(read_document(index.decode()), chart)
    except (ValueError, RecursionError) as error:
        if isinstance(error, IndexUnreadable):
            raise
        raise IndexUnreadable("the repository's index is not readable") from error


def _json_or_yaml(index: bytes) -> Any:
    try:
        return json.loads(index)
    except ValueError:
        if len(index) > _WHOLE_LIMIT:
            raise
        return read_document(index.decode())


def _of(index: Any, chart: str) -> list[Any]:
    entries = index.get("entries") if isinstance(index, dict) else None
    if not isinstance(entries, Mapping):
        raise IndexUnreadable("the repository's index is not readable: it has no entries")
    found = entries.get(chart)
    return found if isinstance(found, list) else []


def _block(index: bytes, chart: str) -> bytes | None:
    """The lines below the chart's name; None where there is no such line."""
    start = re.search(rb"(?m)^entries:[ \t]*\r?\n(?:[ \t]*\r?\n)*( +)[^ \s]", index)
    if start is None:
        return None
    indent = len(start[1])
    name = re.escape(chart.encode())
    key = re.compile(rb"(?m)^ {%d}([\"']?)%s\1:[ \t]*\r?\n" % (indent, name))
    found = key.search(index, start.start(1))
    if found is None:
        return None
    # The next name, or anything that stands less deep; a list may stand as deep as its name.
    end = re.compile(rb"(?m)^ {0,%d}[^ \-\s#]" % indent).search(index, found.end())
    return index[found.end() : end.start() if end else len(index)]


def _candidates(block: bytes, version: str) -> Iterator[Any]:
    """Those versions of a chart that mention the version, parsed one by one."""
    dash = re.match(rb"\s*?( *)- ", block)
    if dash is None:
        return
    wanted = _plain(version).encode()
    for item in re.split(rb"(?m)^(?= {%d}- )" % len(dash[1]), block):
        if wanted in item and len(item) <= _ENTRY_LIMIT:
            parsed = read_document(item.decode())
            yield from parsed if isinstance(parsed, list) else ()


def _plain(version: str) -> str:
    return version.removeprefix("v").partition("+")[0]
