"""The OpenAPI document as one HTML page: no script, no request to anywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from functions.edge.problems import STATUS
from shared.contract.errors import ErrorCode

Schema = Mapping[str, Any]
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0a6cff}
body{font:15px/1.5 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:17rem 1fr}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;
border-right:1px solid var(--line)}
nav a{display:block;text-decoration:none;padding:.1rem 0;color:inherit}
main{padding:1rem 2rem 6rem;max-width:60rem;min-width:0}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}h3{margin-bottom:.2rem}
code,pre{font:13px/1.5 ui-monospace,monospace}
pre{background:var(--soft);padding:.8rem;overflow:auto}
.method{display:inline-block;min-width:4rem;font-weight:700;color:var(--accent)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;
padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line)}
.roles{font-size:13px;opacity:.8}details{margin:.4rem 0}summary{cursor:pointer}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto}}
"""


def render(document: Schema) -> str:
    """The page."""
    title = escape(document["info"]["title"])
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width,initial-scale=1'>",
            f"<title>{title} API</title><style>{_STYLE}</style></head><body>",
            f"<nav><strong>{title} API</strong>{''.join(_links(document))}</nav><main>",
            f"<h1>{title} API {escape(document['info']['version'])}</h1>",
            f"<p>{escape(document['info']['description'])} ",
            "The same as data: <a href=openapi.json>openapi.json</a>.</p>",
            "".join(_operations(document)),
            "<h2 id=problems>Problems</h2><p>Errors are <code>application/problem+json</code> ",
            "(RFC 9457) with one of these codes.</p>",
            "".join(_problems()),
            "<h2 id=schemas>Schemas</h2>",
            "".join(_schemas(document)),
            "</main></body></html>",
        )
    )


def _by_tag(document: Schema) -> dict[str, list[tuple[str, str, Schema]]]:
    found: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((path, method, operation))
    return found


def _links(document: Schema) -> Iterator[str]:
    for tag, operations in _by_tag(document).items():
        yield f"<h4>{escape(tag)}</h4>"
        for _, _, operation in operations:
            name = operation["operationId"]
            yield f"<a href='#{name}'>{escape(operation['summary'])}</a>"
    yield "<h4><a href='#problems'>problems</a></h4><h4><a href='#schemas'>schemas</a></h4>"


def _operations(document: Schema) -> Iterator[str]:
    for tag, operations in _by_tag(document).items():
        yield f"<h2>{escape(tag)}</h2>"
        for path, method, operation in operations:
            yield f"<h3 id='{operation['operationId']}'>{escape(operation['summary'])}</h3>"
            yield f"<p><span class=method>{method.upper()}</span> <code>{escape(path)}</code>"
            yield f"<br><span class=roles>{escape(_callers(operation))}</span></p>"
            if "description" in operation:
                yield f"<p>{escape(operation['description'])}</p>"
            yield _parameters(operation)
            yield from _bodies(operation)
            yield _answers(operation)


def _callers(operation: Schema) -> str:
    roles = operation.get("x-arcbridge-roles")
    if roles:
        return f"Role: {' or '.join(roles)}"
    return "Agents only" if operation["security"] else "No access token needed"


def _parameters(operation: Schema) -> str:
    if not operation["parameters"]:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}"
        f"{', required' if each['required'] else ''}</td>"
        f"<td>{escape(each.get('description', ''))} {_type(each['schema'])}</td></tr>"
        for each in operation["parameters"]
    )
    return f"<table><tr><th>parameter<th>in<th></tr>{rows}</table>"


def _bodies(operation: Schema) -> Iterator[str]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body <code>{escape(kind)}</code>: {_type(content['schema'])}</p>"


def _answers(operation: Schema) -> str:
    rows = []
    for status, answer in operation["responses"].items():
        schemas = [content["schema"] for content in answer.get("content", {}).values()]
        kinds = " ".join(_type(schema) for schema in schemas)
        rows.append(f"<tr><td>{status}<td>{escape(answer['description'])}<td>{kinds}</tr>")
    return f"<details><summary>Answers</summary><table>{''.join(rows)}</table></details>"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f"<a href='#schema-{name}'>{name}</a>"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_type(each) for each in schema[union])
    if "items" in schema:
        return f"array of {_type(schema['items'])}"
    kind = schema.get("format") or schema.get("type") or "any"
    return f"<code>{escape(str(kind))}</code>"


def _problems() -> Iterator[str]:
    yield "<table><tr><th>code<th>status</tr>"
    for code in ErrorCode:
        yield f"<tr id='{code}'><td><code>{code}</code><td>{int(STATUS[code])} "
        yield f"{STATUS[code].phrase}</tr>"
    yield "</table>"


def _schemas(document: Schema) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        text = escape(json.dumps(schema, indent=2))
        shown = escape(name)
        yield f"<details id='schema-{shown}'><summary><code>{shown}</code></summary>"
        yield f"<p>{escape(schema.get('description', ''))}</p><pre>{text}</pre></details>"
