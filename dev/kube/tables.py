"""The tables that `kubectl get` prints (`meta/v1 Table`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dev.kube.resources import Column, Resource
from dev.kube.schema import Json
from dev.kube.table_columns import AGE_ONLY, BUILTIN_COLUMNS


def age(timestamp: Any, now: datetime | None = None) -> str:
    """Time since `timestamp` as kubectl shows it: `5s`, `3m12s`, `4h`, `2d3h`, `40d`."""
    if not isinstance(timestamp, str) or not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    seconds = int(((now or datetime.now(UTC)) - then).total_seconds())
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 0:
        return "0s" if seconds >= -2 else "<invalid>"
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """Name first, then the columns of the kind; CRDs without columns show their age."""
    if resource.custom:
        return resource.columns or AGE_ONLY
    return BUILTIN_COLUMNS.get(resource.storage, AGE_ONLY)


def partial_metadata(obj: Json) -> Json:
    """The object's metadata alone (`PartialObjectMetadata`)."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def table(
    resource: Resource,
    objects: list[Json],
    metadata: Json,
    include: str,
    *,
    header: bool = True,
) -> Json:
    """A Table of objects; `include` is Metadata, Object or None (what each row carries)."""
    columns = columns_of(resource)
    result: Json = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": _definitions(columns) if header else None,
        "rows": [_row(columns, obj, include) for obj in objects],
    }
    return result


def _definitions(columns: tuple[Column, ...]) -> list[Json]:
    name = {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}
    others = [
        {
            "name": column.name,
            "type": column.type if column.type != "date" else "string",
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns
    ]
    return [name, *others]


def _row(columns: tuple[Column, ...], obj: Json, include: str) -> Json:
    cells: list[Any] = [obj["metadata"]["name"]]
    for column in columns:
        value = column.read(obj)
        if column.type == "date":
            value = age(value)
        elif column.type == "string" and value is not None and not isinstance(value, str):
            value = str(value).lower() if isinstance(value, bool) else str(value)
        cells.append(value)
    row: Json = {"cells": cells}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = partial_metadata(obj)
    return row
