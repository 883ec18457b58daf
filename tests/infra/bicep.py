"""Reads Bicep far enough to compare its files with one another and with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from dev.state import REPOSITORY

BICEP = REPOSITORY / "infra" / "bicep"
MAIN = BICEP / "main.bicep"
FILES = sorted(BICEP.rglob("*.bicep"))
PARAMETER_FILES = sorted((BICEP / "env").glob("*.bicepparam"))
_PARSER = Parser(Language(tree_sitter_bicep.language()))
_ASSIGNED = re.compile(r"^param (\w+) =", re.MULTILINE)


def text(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


@dataclass(frozen=True)
class Parameter:
    """A `param` line and its decorators."""

    name: str
    type: str
    required: bool
    decorators: frozenset[str]
    allowed: tuple[str, ...] | None


@dataclass(frozen=True)
class Used:
    """A `module` block."""

    name: str
    path: str
    given: frozenset[str]


@dataclass(frozen=True)
class Resource:
    """A `resource` block: its symbol, its type without the version, its source."""

    symbol: str
    type: str
    source: str


class Bicep:
    """One parsed file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.read_text()
        # The grammar knows no parameter files; their lines have the form of variables.
        readable = self.source
        if path.suffix == ".bicepparam":
            readable = _ASSIGNED.sub(r"var \1 =", readable)
        self.root = _PARSER.parse(readable.encode()).root_node

    def errors(self) -> list[str]:
        """Where the grammar did not go on."""
        return [
            f"{self.path.name}:{node.start_point[0] + 1}: {text(node)[:60]}"
            for node in walk(self.root)
            if node.type == "ERROR" or node.is_missing
        ]

    def parameters(self) -> dict[str, Parameter]:
        """Its `param` lines by name."""
        found = {}
        for index, node in enumerate(self.root.named_children):
            if node.type != "parameter_declaration":
                continue
            before = self.root.named_children[index - 1] if index else None
            decorated = before if before is not None and before.type == "decorators" else None
            name, kind, *default = node.named_children
            found[text(name)] = Parameter(
                text(name), text(kind), not default, _names(decorated), _allowed(decorated)
            )
        return found

    def outputs(self) -> dict[str, str]:
        """Its outputs, each with the source of its value."""
        return {
            text(node.named_children[0]): text(node.named_children[-1])
            for node in self.root.named_children
            if node.type == "output_declaration"
        }

    def modules(self) -> list[Used]:
        """The modules it uses, and the parameters it gives them."""
        return [
            Used(text(node.named_children[0]), _string(node.named_children[1]), _given(node))
            for node in self.root.named_children
            if node.type == "module_declaration"
        ]

    def resources(self) -> list[Resource]:
        """Its resources."""
        return [
            Resource(
                text(node.named_children[0]),
                _string(node.named_children[1]).partition("@")[0],
                text(node),
            )
            for node in self.root.named_children
            if node.type == "resource_declaration"
        ]

    def outputs_read(self) -> set[tuple[str, str]]:
        """Each `module.outputs.name` in it."""
        return set(re.findall(r"\b(\w+)\.outputs\.(\w+)", self.source))

    def assigned(self) -> set[str]:
        """What a parameter file gives."""
        return set(_ASSIGNED.findall(self.source))

    def assignments(self) -> dict[str, str]:
        """What a parameter file gives, each with the source of its value."""
        return {
            text(node.named_children[0]): text(node.named_children[-1])
            for node in self.root.named_children
            if node.type == "variable_declaration"
        }


def environment(source: str) -> set[str]:
    """Names of settings in lists of name and value."""
    return set(re.findall(r"name: '((?:ARCBRIDGE|AZURE|APPLICATIONINSIGHTS|SSL)_\w+)'", source))


def _names(decorated: Node | None) -> frozenset[str]:
    if decorated is None:
        return frozenset()
    calls = [node for node in walk(decorated) if node.type == "call_expression"]
    return frozenset(text(call.named_children[0]) for call in calls)


def _allowed(decorated: Node | None) -> tuple[str, ...] | None:
    for node in walk(decorated) if decorated is not None else ():
        if node.type == "call_expression" and text(node.named_children[0]) == "allowed":
            [array] = node.named_children[1].named_children
            return tuple(text(item) for item in array.named_children)
    return None


def _string(node: Node) -> str:
    return text(node).strip("'")


def _given(module: Node) -> frozenset[str]:
    for node in walk(module):
        if node.type == "object_property" and text(node.named_children[0]) == "params":
            return frozenset(
                text(item.named_children[0])
                for item in node.named_children[1].named_children
                if item.type == "object_property"
            )
    return frozenset()
