"""Route templates as the Functions host reads them (ASP.NET Core's attribute routing).

Supports `literal`, `{name}`, `{name:constraint}`, `{name?}`, `{*rest}` and several parts in a
segment; refuses default values and constraints it does not know. Matching ignores case and a
trailing slash. Where several templates match, the more literal one wins, segment by segment, from
the left. Source: learn.microsoft.com/aspnet/core/fundamentals/routing (route templates,
constraints).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

GUID = r"\{?\(?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\)?\}?"
INT32 = 2**31
INT64 = 2**63
LITERAL, CONSTRAINED, PARAMETER, CONSTRAINED_CATCH_ALL, CATCH_ALL = range(1, 6)

_PARAMETER = re.compile(
    r"\{(?P<star>\*{0,2})(?P<name>[^{}:?=*]+)(?P<constraints>(?::(?:[^{}]|\{\{|\}\})+?)?)"
    r"(?P<optional>\??)\}"
)
_CONSTRAINT = re.compile(r":(?P<name>[a-z]+)(?:\((?P<arguments>.*?)\)(?=:|$))?", re.IGNORECASE)

Constraint = Callable[[str], bool]


class RouteError(Exception):
    """A route template that this host cannot serve."""


@dataclass(frozen=True)
class Parameter:
    """A placeholder: its name and what its value must satisfy."""

    name: str
    constraints: tuple[Constraint, ...]


@dataclass(frozen=True)
class Route:
    """A compiled template."""

    template: str
    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]
    precedence: tuple[int, ...]
    """Per segment, smaller is more specific; routes are tried in this order."""

    def match(self, path: str) -> Mapping[str, str] | None:
        """The values of the parameters in `path` (raw, percent-encoded), or None."""
        found = self.pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        values: dict[str, str] = {}
        for index, parameter in enumerate(self.parameters):
            raw = found.group(f"p{index}")
            if not raw:
                continue
            value = unquote(raw)
            if not all(satisfied(value) for satisfied in parameter.constraints):
                return None
            values[parameter.name] = value
        return values


def compile_route(template: str) -> Route:
    """Compile a template; raises RouteError naming what is not supported."""
    parameters: list[Parameter] = []
    pattern = ""
    precedence: list[int] = []
    for segment in filter(None, template.split("/")):
        body, rank, optional = _compile_segment(segment, template, parameters)
        lead = "/" if pattern else ""
        pattern += f"(?:{lead}{body})?" if optional else lead + body
        precedence.append(rank)
    return Route(
        template=template,
        pattern=re.compile(pattern, re.IGNORECASE),
        parameters=tuple(parameters),
        precedence=tuple(precedence),
    )


def _compile_segment(
    segment: str, template: str, parameters: list[Parameter]
) -> tuple[str, int, bool]:
    """The segment's pattern, its rank, and whether a path may end before it."""
    whole = _PARAMETER.fullmatch(segment)
    if whole is None:
        return *_compile_mixed_segment(segment, template, parameters), False
    parameter = _parameter(whole, template)
    group = f"p{len(parameters)}"
    parameters.append(parameter)
    if whole["star"]:
        rank = CONSTRAINED_CATCH_ALL if parameter.constraints else CATCH_ALL
        return f"(?P<{group}>.*)", rank, True
    rank = CONSTRAINED if parameter.constraints else PARAMETER
    return f"(?P<{group}>[^/]+)", rank, bool(whole["optional"])


def _compile_mixed_segment(
    segment: str, template: str, parameters: list[Parameter]
) -> tuple[str, int]:
    """A literal, or literals and parameters mixed (`{name}.{extension}`)."""
    pattern, position, rank = "", 0, LITERAL
    for found in _PARAMETER.finditer(segment):
        if found["star"] or found["optional"]:
            raise RouteError(f"{template}: {found[0]} must be a segment of its own")
        pattern += _literal(segment[position : found.start()], template)
        pattern += f"(?P<p{len(parameters)}>[^/]+?)"
        parameters.append(_parameter(found, template))
        position, rank = found.end(), CONSTRAINED
    return pattern + _literal(segment[position:], template), rank


def _literal(text: str, template: str) -> str:
    if set(text) & set("{}*?"):
        raise RouteError(f"{template}: cannot read {text!r}")
    return re.escape(text)


def _parameter(found: re.Match[str], template: str) -> Parameter:
    parts = list(_CONSTRAINT.finditer(found["constraints"]))
    if "".join(part[0] for part in parts) != found["constraints"]:
        raise RouteError(f"{template}: cannot read the constraints of {found['name']}")
    constraints = [_constraint(part["name"].lower(), part["arguments"], template) for part in parts]
    return Parameter(found["name"], tuple(constraints))


def _constraint(name: str, arguments: str | None, template: str) -> Constraint:
    """The test that a constraint stands for."""
    if arguments is None:
        simple: Mapping[str, Constraint] = {
            "int": lambda value: _is_integer(value, INT32),
            "long": lambda value: _is_integer(value, INT64),
            "bool": lambda value: value.lower() in {"true", "false"},
            "guid": lambda value: re.fullmatch(GUID, value, re.IGNORECASE) is not None,
            "alpha": lambda value: value.isascii() and value.isalpha(),
            "required": lambda value: value != "",
        }
        if name in simple:
            return simple[name]
    elif name == "regex":
        expression = re.compile(arguments.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
        return lambda value: expression.search(value) is not None
    elif re.fullmatch(r"-?\d+(\s*,\s*-?\d+)?", arguments):
        bounds = [int(number) for number in arguments.split(",")]
        least, most = bounds[0], bounds[-1]
        sized: Mapping[str, Constraint] = {
            "length": lambda value: least <= len(value) <= most,
            "minlength": lambda value: least <= len(value),
            "maxlength": lambda value: len(value) <= most,
            "min": lambda value: _is_integer(value, INT64) and least <= int(value),
            "max": lambda value: _is_integer(value, INT64) and int(value) <= most,
            "range": lambda value: _is_integer(value, INT64) and least <= int(value) <= most,
        }
        if name in sized:
            return sized[name]
    raise RouteError(f"{template}: the constraint {name} is not known here")


def _is_integer(text: str, bound: int) -> bool:
    return re.fullmatch(r"[+-]?\d+", text, re.ASCII) is not None and -bound <= int(text) < bound
