"""The part of JSONPath that printer columns use: members, indexes, `[*]` and simple filters."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_STEP = re.compile(
    r"\.(?P<name>(?:[^.\[\]\\]|\\.)+)"
    r"|\[(?:'(?P<quoted>[^']*)'|\"(?P<dquoted>[^\"]*)\"|(?P<index>-?\d+)|(?P<every>\*)"
    r"|\?\(@\.(?P<fkey>[\w.]+)\s*==\s*(?P<fvalue>\"[^\"]*\"|'[^']*'|[^)]*)\))\]"
)


@cache
def _steps(path: str) -> tuple[re.Match[str], ...]:
    return tuple(_STEP.finditer(path if path.startswith((".", "[")) else "." + path))


def values(obj: Any, path: str) -> list[Any]:
    """Everything `path` reaches in `obj`."""
    found = [obj]
    for step in _steps(path):
        found = [below for value in found for below in _follow(value, step)]
    return found


def first_value(obj: Any, path: str) -> Any:
    """The first thing `path` reaches; None when there is nothing."""
    found = values(obj, path)
    return found[0] if found else None


def _follow(value: Any, step: re.Match[str]) -> list[Any]:
    name = step["name"] or step["quoted"] or step["dquoted"]
    if name is not None:
        name = name.replace("\\.", ".")
        if name == "*" and isinstance(value, (dict, list)):
            return list(value.values() if isinstance(value, dict) else value)
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    if step["every"]:
        return value
    if step["index"]:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    wanted = step["fvalue"].strip().strip("\"'")
    return [item for item in value if str(first_value(item, step["fkey"])) == wanted]
